// Expressions: precedence from conditional down to literals, postfix and filters.
#include <algorithm>

#include "chat/jinja_parser.h"

namespace headgate::jinja {

bool Parser::skip_operator(std::string_view op) {
  if (!at_operator(op)) return false;
  next();
  return true;
}

bool Parser::skip_name(std::string_view name) {
  if (!at_name(name)) return false;
  next();
  return true;
}

void Parser::expect_operator(std::string_view op) {
  if (!skip_operator(op)) error("expected '{}', found {}", op, describe(current()));
}

void Parser::expect(TokenKind kind, std::string_view what) {
  if (current().kind != kind) error("expected {}, found {}", what, describe(current()));
  next();
}

std::string Parser::expect_name() {
  if (current().kind != TokenKind::kName) error("expected a name, found {}", describe(current()));
  return next().text;
}

std::string Parser::describe(const Token& token) {
  switch (token.kind) {
    case TokenKind::kEnd:
      return "the end of the template";
    case TokenKind::kData:
      return "text";
    case TokenKind::kVariableBegin:
      return "'{{'";
    case TokenKind::kVariableEnd:
      return "'}}'";
    case TokenKind::kBlockBegin:
      return "'{%'";
    case TokenKind::kBlockEnd:
      return "'%}'";
    default:
      return "'" + token.text + "'";
  }
}

ExprPtr Parser::make(ExprKind kind, int line, std::string text) {
  auto expr = std::make_unique<Expr>();
  expr->kind = kind;
  expr->line = line;
  expr->text = std::move(text);
  return expr;
}

void Parser::deepen(Expr& parent, const Expr& child) {
  parent.depth = std::max(parent.depth, child.depth + 1);
  if (parent.depth > kMaxTreeDepth) error("expression nested too deeply");
}

void Parser::add_child(Expr& parent, ExprPtr child) {
  if (child != nullptr) deepen(parent, *child);
  parent.children.push_back(std::move(child));
}

ExprPtr Parser::binary(ExprKind kind, int line, std::string op, ExprPtr left, ExprPtr right) {
  ExprPtr expr = make(kind, line, std::move(op));
  add_child(*expr, std::move(left));
  add_child(*expr, std::move(right));
  return expr;
}

ExprPtr Parser::parse_expression() {
  const NestGuard guard(*this);
  const size_t unknown_before = unknown_.size();
  const int line = current().line;
  ExprPtr value = parse_or();
  while (skip_name("if")) {
    ExprPtr condition = parse_or();
    ExprPtr otherwise = skip_name("else") ? parse_expression() : nullptr;
    ExprPtr expr = make(ExprKind::kConditional, line);
    add_child(*expr, std::move(value));
    add_child(*expr, std::move(condition));
    add_child(*expr, std::move(otherwise));
    value = std::move(expr);
    // Unknown filters inside of a condition fail only when they are reached.
    unknown_.resize(unknown_before);
  }
  return value;
}

ExprPtr Parser::parse_or() {
  ExprPtr left = parse_and();
  while (at_name("or")) {
    const int line = next().line;
    left = binary(ExprKind::kOr, line, "or", std::move(left), parse_and());
  }
  return left;
}

ExprPtr Parser::parse_and() {
  ExprPtr left = parse_not();
  while (at_name("and")) {
    const int line = next().line;
    left = binary(ExprKind::kAnd, line, "and", std::move(left), parse_not());
  }
  return left;
}

ExprPtr Parser::parse_not() {
  if (!at_name("not")) return parse_compare();
  const NestGuard guard(*this);
  ExprPtr expr = make(ExprKind::kNot, next().line);
  add_child(*expr, parse_not());
  return expr;
}

ExprPtr Parser::parse_compare() {
  const int line = current().line;
  ExprPtr first = parse_sum();
  ExprPtr compare;
  for (;;) {
    std::string op;
    static constexpr std::string_view kOrders[] = {"==", "!=", "<", "<=", ">", ">="};
    if (current().kind == TokenKind::kOperator &&
        std::find(std::begin(kOrders), std::end(kOrders), current().text) != std::end(kOrders)) {
      op = next().text;
    } else if (skip_name("in")) {
      op = "in";
    } else if (at_name("not") && look().kind == TokenKind::kName && look().text == "in") {
      next();
      next();
      op = "not in";
    } else {
      break;
    }
    if (compare == nullptr) {
      compare = make(ExprKind::kCompare, line);
      add_child(*compare, std::move(first));
    }
    compare->operators.push_back(op);
    add_child(*compare, parse_sum());
  }
  return compare != nullptr ? std::move(compare) : std::move(first);
}

ExprPtr Parser::parse_sum() {
  ExprPtr left = parse_concat();
  while (at_operator("+") || at_operator("-")) {
    const Token op = next();
    left = binary(ExprKind::kArithmetic, op.line, op.text, std::move(left), parse_concat());
  }
  return left;
}

ExprPtr Parser::parse_concat() {
  ExprPtr first = parse_product();
  if (!at_operator("~")) return first;
  ExprPtr concat = make(ExprKind::kConcat, current().line);
  add_child(*concat, std::move(first));
  while (skip_operator("~")) add_child(*concat, parse_product());
  return concat;
}

ExprPtr Parser::parse_product() {
  ExprPtr left = parse_power();
  while (at_operator("*") || at_operator("/") || at_operator("//") || at_operator("%")) {
    const Token op = next();
    left = binary(ExprKind::kArithmetic, op.line, op.text, std::move(left), parse_power());
  }
  return left;
}

ExprPtr Parser::parse_power() {
  // From left to right, unlike Python: 2 ** 3 ** 2 is 64.
  ExprPtr left = parse_unary(true);
  while (at_operator("**")) {
    const int line = next().line;
    left = binary(ExprKind::kArithmetic, line, "**", std::move(left), parse_unary(true));
  }
  return left;
}

ExprPtr Parser::parse_unary(bool with_filter) {
  const NestGuard guard(*this);
  ExprPtr expr;
  if (at_operator("-") || at_operator("+")) {
    const Token op = next();
    expr = make(op.text == "-" ? ExprKind::kNegative : ExprKind::kPositive, op.line);
    add_child(*expr, parse_unary(false));
  } else {
    expr = parse_primary(false);
  }
  expr = parse_postfix(std::move(expr));
  return with_filter ? parse_filter_chain(std::move(expr)) : std::move(expr);
}

int Parser::name_number(const std::string& name) {
  const auto [entry, is_new] = name_numbers_.emplace(name, static_cast<int>(names_.size()));
  if (is_new) names_.push_back(name);
  return entry->second;
}

void Parser::note_load(const std::string& name) {
  if (name != "caller" && name != "kwargs" && name != "varargs") return;
  for (MacroFrame& macro : macros_) {
    if (std::find(macro.stored.begin(), macro.stored.end(), name) != macro.stored.end()) continue;
    (name == "caller" ? macro.caller : name == "kwargs" ? macro.kwargs : macro.varargs) = true;
  }
}

void Parser::note_store(const std::string& name) {
  if (name == "caller" || name == "kwargs" || name == "varargs") {
    for (MacroFrame& macro : macros_) macro.stored.push_back(name);
  }
}

ExprPtr Parser::parse_primary(bool with_namespace) {
  const Token& token = current();
  if (token.kind != TokenKind::kName) return parse_literal();
  const Token name = next();
  if (name.text == "true" || name.text == "True" || name.text == "false" || name.text == "False") {
    ExprPtr expr = make(ExprKind::kConstant, name.line);
    expr->constant = Value::boolean(name.text == "true" || name.text == "True");
    return expr;
  }
  if (name.text == "none" || name.text == "None") return make(ExprKind::kConstant, name.line);
  if (with_namespace && skip_operator(".")) {
    ExprPtr expr = make(ExprKind::kNamespaceRef, name.line, expect_name());
    expr->name = name_number(name.text);
    return expr;
  }
  if (!in_target_) note_load(name.text);
  ExprPtr expr = make(ExprKind::kName, name.line, name.text);
  expr->name = name_number(name.text);
  return expr;
}

ExprPtr Parser::parse_literal() {
  const Token token = current();
  ExprPtr expr = make(ExprKind::kConstant, token.line);
  switch (token.kind) {
    case TokenKind::kString: {
      std::string text;
      while (current().kind == TokenKind::kString) text += next().text;
      expr->constant = Value::string(std::move(text));
      return expr;
    }
    case TokenKind::kInteger:
      expr->constant = Value::integer(next().integer);
      return expr;
    case TokenKind::kFloat:
      expr->constant = Value::number(next().number);
      return expr;
    default:
      break;
  }
  if (skip_operator("(")) {
    TupleRules rules;
    rules.in_parentheses = true;
    expr = parse_tuple(rules);
    expect_operator(")");
    return expr;
  }
  if (at_operator("[")) return parse_list();
  if (at_operator("{")) return parse_dict();
  error("unexpected {}", describe(token));
}

ExprPtr Parser::parse_tuple(const TupleRules& rules) {
  const int line = current().line;
  ExprPtr first;
  ExprPtr tuple;
  const auto at_end = [&] {
    return current().kind == TokenKind::kVariableEnd || current().kind == TokenKind::kBlockEnd ||
           at_operator(")");
  };
  for (bool any = false;; any = true) {
    if (any) expect_operator(",");
    if (at_end()) break;
    ExprPtr item = rules.targets_only       ? parse_primary(rules.with_namespace)
                   : rules.with_conditional ? parse_expression()
                                            : parse_or();
    if (tuple == nullptr && !at_operator(",")) {
      first = std::move(item);
      break;
    }
    if (tuple == nullptr) tuple = make(ExprKind::kTuple, line);
    add_child(*tuple, std::move(item));
    if (!at_operator(",")) break;
  }
  if (tuple != nullptr) return tuple;
  if (first != nullptr) return first;
  if (!rules.in_parentheses) error("Expected an expression, got {}", describe(current()));
  return make(ExprKind::kTuple, line);
}

ExprPtr Parser::parse_target(bool with_namespace) {
  TupleRules rules;
  rules.targets_only = true;
  rules.with_namespace = with_namespace;
  in_target_ = true;
  ExprPtr target = parse_tuple(rules);
  in_target_ = false;
  check_target(*target);
  return target;
}

void Parser::check_target(const Expr& target) const {
  if (target.kind == ExprKind::kTuple) {
    for (const ExprPtr& item : target.children) check_target(*item);
    return;
  }
  if (target.kind != ExprKind::kName && target.kind != ExprKind::kNamespaceRef) {
    error_at(target.line, "can't assign to this expression");
  }
  if (for_depth_ > 0 && target.kind == ExprKind::kName && target.text == "loop") {
    error_at(target.line, "Can't assign to special loop variable in for-loop target");
  }
}

ExprPtr Parser::parse_list() {
  ExprPtr list = make(ExprKind::kList, next().line);
  while (!at_operator("]")) {
    if (!list->children.empty()) expect_operator(",");
    if (at_operator("]")) break;
    add_child(*list, parse_expression());
  }
  next();
  return list;
}

ExprPtr Parser::parse_dict() {
  ExprPtr dict = make(ExprKind::kDict, next().line);
  while (!at_operator("}")) {
    if (!dict->children.empty()) expect_operator(",");
    if (at_operator("}")) break;
    add_child(*dict, parse_expression());
    expect_operator(":");
    add_child(*dict, parse_expression());
  }
  next();
  return dict;
}

ExprPtr Parser::parse_postfix(ExprPtr expr) {
  for (;;) {
    if (at_operator(".") || at_operator("[")) {
      expr = parse_subscript(std::move(expr));
    } else if (at_operator("(")) {
      expr = parse_call(std::move(expr));
    } else {
      return expr;
    }
  }
}

ExprPtr Parser::parse_filter_chain(ExprPtr expr) {
  for (;;) {
    if (at_operator("|")) {
      expr = parse_filters(std::move(expr), false);
    } else if (at_name("is")) {
      expr = parse_test(std::move(expr));
    } else if (at_operator("(")) {
      expr = parse_call(std::move(expr));
    } else {
      return expr;
    }
  }
}

ExprPtr Parser::parse_subscript(ExprPtr expr) {
  const Token open = next();
  if (open.text == ".") {
    const Token attribute = next();
    if (attribute.kind == TokenKind::kName) {
      ExprPtr access = make(ExprKind::kAttribute, open.line, attribute.text);
      add_child(*access, std::move(expr));
      return access;
    }
    if (attribute.kind != TokenKind::kInteger) {
      error_at(attribute.line, "expected name or number");
    }
    ExprPtr index = make(ExprKind::kConstant, attribute.line);
    index->constant = Value::integer(attribute.integer);
    return binary(ExprKind::kItem, open.line, "", std::move(expr), std::move(index));
  }
  std::vector<ExprPtr> arguments;
  while (!at_operator("]")) {
    if (!arguments.empty()) expect_operator(",");
    arguments.push_back(parse_subscript_argument());
  }
  next();
  ExprPtr index;
  if (arguments.size() == 1) {
    index = std::move(arguments[0]);
  } else {
    index = make(ExprKind::kTuple, open.line);
    for (ExprPtr& argument : arguments) {
      if (argument->kind == ExprKind::kSlice) error("slices cannot be part of a tuple index");
      add_child(*index, std::move(argument));
    }
  }
  return binary(ExprKind::kItem, open.line, "", std::move(expr), std::move(index));
}

ExprPtr Parser::parse_subscript_argument() {
  const int line = current().line;
  ExprPtr start;
  if (!at_operator(":")) {
    start = parse_expression();
    if (!at_operator(":")) return start;
  }
  next();
  ExprPtr stop;
  ExprPtr step;
  const auto at_end = [&] { return at_operator("]") || at_operator(","); };
  if (!at_operator(":") && !at_end()) stop = parse_expression();
  if (skip_operator(":") && !at_end()) step = parse_expression();
  ExprPtr slice = make(ExprKind::kSlice, line);
  add_child(*slice, std::move(start));
  add_child(*slice, std::move(stop));
  add_child(*slice, std::move(step));
  return slice;
}

void Parser::parse_arguments(Expr& call) {
  const int line = current().line;
  expect_operator("(");
  CallArguments& arguments = call.arguments;
  const auto ensure = [&](bool valid) {
    if (!valid) error_at(line, "invalid syntax for function call expression");
  };
  const auto expression = [&] {
    ExprPtr expr = parse_expression();
    deepen(call, *expr);
    return expr;
  };
  bool any = false;
  while (!at_operator(")")) {
    if (any) {
      expect_operator(",");
      if (at_operator(")")) break;
    }
    any = true;
    if (skip_operator("*")) {
      ensure(arguments.more_positional == nullptr && arguments.more_keyword == nullptr);
      arguments.more_positional = expression();
    } else if (skip_operator("**")) {
      ensure(arguments.more_keyword == nullptr);
      arguments.more_keyword = expression();
    } else if (current().kind == TokenKind::kName && look().kind == TokenKind::kOperator &&
               look().text == "=") {
      ensure(arguments.more_keyword == nullptr);
      std::string name = next().text;
      next();
      for (const auto& [other, value] : arguments.keyword) {
        if (other == name) error("keyword argument '{}' repeated", name);
      }
      arguments.keyword.emplace_back(std::move(name), expression());
    } else {
      ensure(arguments.more_positional == nullptr && arguments.more_keyword == nullptr &&
             arguments.keyword.empty());
      arguments.positional.push_back(expression());
    }
  }
  next();
}

ExprPtr Parser::parse_call(ExprPtr callee) {
  ExprPtr call = make(ExprKind::kCall, current().line);
  add_child(*call, std::move(callee));
  parse_arguments(*call);
  return call;
}

ExprPtr Parser::parse_filters(ExprPtr expr, bool starts_with_name) {
  while (at_operator("|") || starts_with_name) {
    if (!starts_with_name) next();
    starts_with_name = false;
    const int line = current().line;
    std::string name = expect_name();
    while (skip_operator(".")) name += "." + expect_name();
    ExprPtr filter = make(ExprKind::kFilter, line, name);
    filter->filter = find_filter(name);
    if (filter->filter == nullptr) {
      unknown_.push_back({fmt::format("No filter named '{}'.", name), line});
    }
    add_child(*filter, std::move(expr));
    if (at_operator("(")) parse_arguments(*filter);
    expr = std::move(filter);
  }
  return expr;
}

ExprPtr Parser::parse_test(ExprPtr expr) {
  const int line = next().line;
  const bool negated = skip_name("not");
  std::string name = expect_name();
  while (skip_operator(".")) name += "." + expect_name();
  ExprPtr test = make(ExprKind::kTest, line, name);
  test->test = find_test(name);
  if (test->test == nullptr) unknown_.push_back({fmt::format("No test named '{}'.", name), line});
  add_child(*test, std::move(expr));
  const TokenKind kind = current().kind;
  const bool starts_value =
      kind == TokenKind::kString || kind == TokenKind::kInteger || kind == TokenKind::kFloat ||
      at_operator("[") || at_operator("{") ||
      (kind == TokenKind::kName && !at_name("else") && !at_name("or") && !at_name("and"));
  if (at_operator("(")) {
    parse_arguments(*test);
  } else if (starts_value) {
    if (at_name("is")) error("You cannot chain multiple tests with is");
    ExprPtr argument = parse_postfix(parse_primary(false));
    deepen(*test, *argument);
    test->arguments.positional.push_back(std::move(argument));
  }
  if (!negated) return test;
  ExprPtr inverted = make(ExprKind::kNot, line);
  add_child(*inverted, std::move(test));
  return inverted;
}

}  // namespace headgate::jinja
