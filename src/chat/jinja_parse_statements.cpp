// Statements: everything between {% and %}.
#include <algorithm>

#include "chat/jinja_parser.h"

namespace headgate::jinja {

Ast Parser::run() {
  Ast ast;
  ast.body = parse_until({});
  reject_unknown(0);
  ast.names = std::move(names_);
  return ast;
}

void Parser::reject_unknown(size_t from) {
  if (unknown_.size() > from) error_at(unknown_[from].line, "{}", unknown_[from].what);
}

StmtPtr Parser::make_statement(StmtKind kind) {
  auto statement = std::make_unique<Stmt>();
  statement->kind = kind;
  statement->line = current().line;
  return statement;
}

// The rest of a tag, then statements up to one of the end tags, whose name is then current.
Body Parser::parse_body(std::initializer_list<std::string_view> end_names) {
  skip_operator(":");
  expect(TokenKind::kBlockEnd, "'%}'");
  Body body = parse_until(end_names);
  if (current().kind == TokenKind::kEnd) {
    error("unexpected end of template, expected '{}'", *(end_names.end() - 1));
  }
  return body;
}

Body Parser::parse_inner(std::initializer_list<std::string_view> end_names) {
  const size_t unknown_before = unknown_.size();
  Body body = parse_body(end_names);
  reject_unknown(unknown_before);
  return body;
}

Body Parser::parse_until(std::initializer_list<std::string_view> end_names) {
  const NestGuard guard(*this);
  Body body;
  while (current().kind != TokenKind::kEnd) {
    if (current().kind == TokenKind::kData) {
      StmtPtr data = make_statement(StmtKind::kData);
      data->text = next().text;
      body.push_back(std::move(data));
    } else if (current().kind == TokenKind::kVariableBegin) {
      StmtPtr print = make_statement(StmtKind::kPrint);
      next();
      print->expressions.push_back(parse_tuple({}));
      expect(TokenKind::kVariableEnd, "'}}'");
      body.push_back(std::move(print));
    } else {
      expect(TokenKind::kBlockBegin, "'{%'");
      const bool ends = std::any_of(end_names.begin(), end_names.end(),
                                    [&](std::string_view name) { return at_name(name); });
      if (ends) return body;
      body.push_back(parse_statement());
      expect(TokenKind::kBlockEnd, "'%}'");
    }
  }
  return body;
}

StmtPtr Parser::parse_statement() {
  if (current().kind != TokenKind::kName) error("tag name expected");
  const std::string& tag = current().text;
  if (tag == "set") return parse_set();
  if (tag == "for") return parse_for();
  if (tag == "if") return parse_if();
  if (tag == "macro") return parse_macro();
  if (tag == "call") return parse_call_block();
  if (tag == "filter") return parse_filter_block();
  if (tag == "with") return parse_with();
  if (tag == "print") return parse_print();
  if (tag == "block") return parse_block();
  if (tag == "break" || tag == "continue") return parse_loop_control();
  return parse_other_statement();
}

StmtPtr Parser::parse_other_statement() {
  const std::string& tag = current().text;
  if (tag == "generation") {
    next();
    return parse_scope("endgeneration");
  }
  if (tag == "autoescape") {
    next();
    const ExprPtr mode = parse_expression();
    if (mode->kind != ExprKind::kConstant || truth(mode->constant)) {
      fail(ErrorCode::kUnsupported, "{}:{}: autoescape is not supported", source_name_,
           current().line);
    }
    StmtPtr scope = make_statement(StmtKind::kScope);
    scope->body = parse_inner({"endautoescape"});
    next();
    return scope;
  }
  if (tag == "include" || tag == "import" || tag == "from" || tag == "extends") {
    fail(ErrorCode::kUnsupported,
         "{}:{}: the tag '{}' needs another template, and a chat template stands alone",
         source_name_, current().line, tag);
  }
  error("Encountered unknown tag '{}'.", tag);
}

StmtPtr Parser::parse_set() {
  StmtPtr set = make_statement(StmtKind::kSet);
  next();
  set->target = parse_target(true);
  if (skip_operator("=")) {
    set->value = parse_tuple({});
  } else {
    set->kind = StmtKind::kSetBlock;
    set->value = at_operator("|") ? parse_filters(nullptr, false) : nullptr;
    set->body = parse_inner({"endset"});
    next();
  }
  if (set->target->kind == ExprKind::kName) note_store(set->target->text);
  return set;
}

StmtPtr Parser::parse_for() {
  StmtPtr loop = make_statement(StmtKind::kFor);
  next();
  const size_t unknown_before = unknown_.size();
  ++for_depth_;
  loop->target = parse_target(false);
  if (!skip_name("in")) error("expected 'in', found {}", describe(current()));
  TupleRules rules;
  rules.with_conditional = false;
  loop->value = parse_tuple(rules);
  const size_t unknown_after = unknown_.size();
  if (skip_name("if")) loop->condition = parse_expression();
  loop->recursive = skip_name("recursive");
  const int outer_loops = loops_;
  loops_ = loop->recursive ? 1 : loops_ + 1;
  loop->body = parse_inner({"endfor", "else"});
  loops_ = loop->recursive ? 0 : outer_loops;
  if (next().text != "endfor") {
    loop->otherwise = parse_inner({"endfor"});
    next();
  }
  loops_ = outer_loops;
  --for_depth_;
  // The sequence belongs to the surrounding tag, the rest of a loop to the loop.
  reject_unknown(std::max(unknown_before, unknown_after));
  return loop;
}

StmtPtr Parser::parse_if() {
  StmtPtr statement = make_statement(StmtKind::kIf);
  const size_t unknown_before = unknown_.size();
  TupleRules rules;
  rules.with_conditional = false;
  for (;;) {
    next();
    Branch branch;
    branch.condition = parse_tuple(rules);
    branch.body = parse_body({"elif", "else", "endif"});
    statement->branches.push_back(std::move(branch));
    if (!at_name("elif")) break;
  }
  if (next().text == "else") {
    statement->otherwise = parse_body({"endif"});
    next();
  }
  // Unknown filters inside of an if fail only when they are reached.
  unknown_.resize(unknown_before);
  return statement;
}

void Parser::parse_signature(Stmt& statement) {
  expect_operator("(");
  while (!at_operator(")")) {
    if (!statement.parameters.empty()) expect_operator(",");
    Parameter parameter;
    parameter.text = expect_name();
    parameter.name = name_number(parameter.text);
    if (skip_operator("=")) {
      parameter.fallback = parse_expression();
    } else if (!statement.parameters.empty() && statement.parameters.back().fallback) {
      error("non-default argument follows default argument");
    }
    for (const Parameter& other : statement.parameters) {
      if (other.name == parameter.name) error("parameter '{}' appears twice", parameter.text);
    }
    statement.parameters.push_back(std::move(parameter));
  }
  next();
}

void Parser::parse_function_body(Stmt& statement, std::string_view end_name) {
  macros_.emplace_back();
  const int outer_loops = std::exchange(loops_, 0);
  statement.body = parse_inner({end_name});
  next();
  loops_ = outer_loops;
  const MacroFrame frame = std::move(macros_.back());
  macros_.pop_back();
  const auto find_parameter = [&](std::string_view name) -> const Parameter* {
    for (const Parameter& parameter : statement.parameters) {
      if (parameter.text == name) return &parameter;
    }
    return nullptr;
  };
  const Parameter* caller = find_parameter("caller");
  if (frame.caller && caller != nullptr && caller->fallback == nullptr) {
    error_at(statement.line, "the special \"caller\" argument must be omitted or have a default");
  }
  statement.uses_caller = frame.caller;
  statement.uses_kwargs = frame.kwargs && find_parameter("kwargs") == nullptr;
  statement.uses_varargs = frame.varargs && find_parameter("varargs") == nullptr;
}

StmtPtr Parser::parse_macro() {
  StmtPtr macro = make_statement(StmtKind::kMacro);
  next();
  macro->text = expect_name();
  macro->name = name_number(macro->text);
  parse_signature(*macro);
  parse_function_body(*macro, "endmacro");
  return macro;
}

StmtPtr Parser::parse_call_block() {
  StmtPtr call = make_statement(StmtKind::kCallBlock);
  next();
  if (at_operator("(")) parse_signature(*call);
  call->value = parse_expression();
  if (call->value->kind != ExprKind::kCall) error_at(call->line, "expected call");
  parse_function_body(*call, "endcall");
  return call;
}

StmtPtr Parser::parse_filter_block() {
  StmtPtr block = make_statement(StmtKind::kFilterBlock);
  next();
  const size_t unknown_before = unknown_.size();
  block->value = parse_filters(nullptr, true);
  reject_unknown(unknown_before);
  block->body = parse_inner({"endfilter"});
  next();
  return block;
}

StmtPtr Parser::parse_with() {
  StmtPtr with = make_statement(StmtKind::kWith);
  next();
  while (current().kind != TokenKind::kBlockEnd) {
    if (!with->expressions.empty()) expect_operator(",");
    with->expressions.push_back(parse_target(false));
    expect_operator("=");
    with->expressions.push_back(parse_expression());
  }
  with->body = parse_inner({"endwith"});
  next();
  return with;
}

StmtPtr Parser::parse_print() {
  StmtPtr print = make_statement(StmtKind::kPrint);
  next();
  while (current().kind != TokenKind::kBlockEnd) {
    if (!print->expressions.empty()) expect_operator(",");
    print->expressions.push_back(parse_expression());
  }
  return print;
}

StmtPtr Parser::parse_block() {
  StmtPtr block = make_statement(StmtKind::kBlock);
  next();
  block->text = expect_name();
  skip_name("scoped");
  if (skip_name("required")) {
    error_at(block->line, "required block '{}' without a template that fills it", block->text);
  }
  const int outer_loops = std::exchange(loops_, 0);
  block->body = parse_inner({"endblock"});
  loops_ = outer_loops;
  next();
  skip_name(block->text);
  return block;
}

StmtPtr Parser::parse_scope(std::string_view end_name) {
  StmtPtr scope = make_statement(StmtKind::kScope);
  const int outer_loops = std::exchange(loops_, 0);
  scope->body = parse_inner({end_name});
  loops_ = outer_loops;
  next();
  return scope;
}

StmtPtr Parser::parse_loop_control() {
  StmtPtr control = make_statement(at_name("break") ? StmtKind::kBreak : StmtKind::kContinue);
  if (loops_ == 0) error("'{}' outside of a loop", current().text);
  next();
  return control;
}

Ast parse_template(std::string_view source, const std::string& name) {
  return Parser(tokenize(source, name), name).run();
}

}  // namespace headgate::jinja
