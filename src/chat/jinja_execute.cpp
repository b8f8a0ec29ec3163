// Execution of statements.
#include <algorithm>

#include "chat/jinja_interpreter.h"

namespace headgate::jinja {
namespace {

class Macro : public Object {
 public:
  Macro(Interpreter& interpreter, const Stmt& statement, ScopePtr scope)
      : interpreter_(interpreter), statement_(statement), scope_(std::move(scope)) {}

  std::string_view type_name() const override { return "Macro"; }
  std::string repr(Runtime& rt) const override {
    return "<Macro " + to_repr(rt, Value::string(statement_.text)) + ">";
  }
  bool attribute(Runtime& rt, std::string_view name, Value* out) override {
    if (name == "name") {
      *out = Value::string(statement_.text);
    } else if (name == "arguments") {
      std::vector<Value> names;
      for (const Parameter& p : statement_.parameters) names.push_back(Value::string(p.text));
      *out = Value::tuple(rt, std::move(names));
    } else if (name == "caller" || name == "catch_kwargs" || name == "catch_varargs") {
      *out = Value::boolean(name == "caller"         ? statement_.uses_caller
                            : name == "catch_kwargs" ? statement_.uses_kwargs
                                                     : statement_.uses_varargs);
    } else {
      return false;
    }
    return true;
  }
  bool is_callable() const override { return true; }
  Value call(Runtime&, const Arguments& arguments) override {
    return interpreter_.call_macro(statement_, scope_, arguments);
  }

 private:
  Interpreter& interpreter_;
  const Stmt& statement_;
  ScopePtr scope_;
};

// Takes the keyword argument of this name out of the list.
bool take_keyword(std::vector<std::pair<std::string, Value>>* keyword, const std::string& name,
                  Value* out) {
  const auto found = std::find_if(keyword->begin(), keyword->end(),
                                  [&](const auto& entry) { return entry.first == name; });
  if (found == keyword->end()) return false;
  *out = std::move(found->second);
  keyword->erase(found);
  return true;
}

}  // namespace

const Value* Scope::find(int name) const {
  for (const auto& [number, value] : variables) {
    if (number == name) return &value;
  }
  return nullptr;
}

void Scope::set(int name, Value value) {
  for (auto& [number, old] : variables) {
    if (number != name) continue;
    old = std::move(value);
    return;
  }
  variables.emplace_back(name, std::move(value));
}

Interpreter::Interpreter(const Ast& ast, Runtime& rt)
    : ast_(ast),
      rt_(rt),
      registry_(std::make_shared<NamespaceRegistry>()),
      root_(std::make_shared<Scope>(nullptr)) {}

Interpreter::~Interpreter() {
  // A scope and the macros in it hold each other.
  for (const std::weak_ptr<Scope>& weak : captured_) {
    if (const ScopePtr scope = weak.lock()) scope->variables.clear();
  }
  root_->variables.clear();
}

std::string Interpreter::render(const json::object& variables) {
  for (size_t i = 0; i < ast_.names.size(); ++i) {
    const json::value* given = variables.if_contains(ast_.names[i]);
    const int name = static_cast<int>(i);
    if (given != nullptr) {
      root_->set(name, Value::from_json(rt_, *given));
    } else if (const std::optional<Value> global = make_global(ast_.names[i], registry_)) {
      root_->set(name, *global);
    }
  }
  std::string out;
  out_ = &out;
  run(ast_.body, root_);
  return out;
}

ScopePtr Interpreter::inner(const ScopePtr& scope) { return std::make_shared<Scope>(scope); }

void Interpreter::write(std::string_view text) {
  rt_.scan(text.size());
  rt_.check_growing(out_->size() + text.size());
  *out_ += text;
}

std::string Interpreter::capture(const Body& body, const ScopePtr& scope, Flow* flow) {
  std::string text;
  std::string* outer = std::exchange(out_, &text);
  *flow = run(body, scope);
  out_ = outer;
  rt_.produce(text.size());
  return text;
}

Interpreter::Flow Interpreter::run(const Body& body, const ScopePtr& scope) {
  const DepthGuard guard(rt_);
  for (const StmtPtr& statement : body) {
    const Flow flow = run_statement(*statement, scope);
    if (flow != Flow::kNormal) return flow;
  }
  return Flow::kNormal;
}

Interpreter::Flow Interpreter::run_statement(const Stmt& statement, const ScopePtr& scope) {
  rt_.step();
  rt_.set_line(statement.line);
  switch (statement.kind) {
    case StmtKind::kData:
      write(statement.text);
      break;
    case StmtKind::kPrint:
      for (const ExprPtr& expr : statement.expressions) {
        const Value value = evaluate(*expr, scope);
        write(value.is_string() ? value.as_text() : to_text(rt_, value));
      }
      break;
    case StmtKind::kSet:
      assign(*statement.target, evaluate(*statement.value, scope), scope);
      break;
    case StmtKind::kSetBlock:
      return run_set_block(statement, scope);
    case StmtKind::kFor:
      return run_loop(statement, evaluate(*statement.value, scope), scope, 0);
    case StmtKind::kIf:
      return run_if(statement, scope);
    case StmtKind::kMacro:
      scope->set(statement.name, make_macro(statement, scope));
      break;
    case StmtKind::kCallBlock:
      run_call_block(statement, scope);
      break;
    case StmtKind::kFilterBlock:
      return run_filter_block(statement, scope);
    case StmtKind::kWith:
      return run_with(statement, scope);
    case StmtKind::kScope:
      return run(statement.body, inner(scope));
    case StmtKind::kBlock:
      return run(statement.body, inner(root_));
    case StmtKind::kBreak:
      return Flow::kBreak;
    case StmtKind::kContinue:
      return Flow::kContinue;
  }
  return Flow::kNormal;
}

Interpreter::Flow Interpreter::run_if(const Stmt& statement, const ScopePtr& scope) {
  for (const Branch& branch : statement.branches) {
    if (truth(evaluate(*branch.condition, scope))) return run(branch.body, scope);
  }
  return run(statement.otherwise, scope);
}

Interpreter::Flow Interpreter::run_loop(const Stmt& statement, const Value& sequence,
                                        const ScopePtr& scope, int depth0) {
  static const std::string kLoopName = "loop";
  Loop::Accept accept;
  if (statement.condition != nullptr) {
    accept = [this, &statement, &scope](Value* item) {
      const ScopePtr test_scope = inner(scope);
      assign(*statement.target, *item, test_scope);
      // What is unpacked into several names arrives as a tuple, whatever it was.
      if (statement.target->kind == ExprKind::kTuple) {
        *item = Value::tuple(rt_, iterate(rt_, *item));
      }
      return truth(evaluate(*statement.condition, test_scope));
    };
  }
  Loop::Recurse recurse;
  if (statement.recursive) {
    recurse = [this, &statement, &scope](const Value& items, int depth) {
      const DepthGuard guard(rt_);
      std::string text;
      std::string* outer = std::exchange(out_, &text);
      run_loop(statement, items, scope, depth);
      out_ = outer;
      rt_.produce(text.size());
      return Value::string(std::move(text));
    };
  }
  const auto loop = std::make_shared<Loop>(iterate(rt_, sequence), depth0, accept, recurse);
  const std::unique_ptr<Loop, void (*)(Loop*)> finisher(loop.get(), [](Loop* l) { l->finish(); });
  const auto found = std::find(ast_.names.begin(), ast_.names.end(), kLoopName);
  const int loop_name =
      found == ast_.names.end() ? -1 : static_cast<int>(found - ast_.names.begin());
  Flow flow = Flow::kNormal;
  bool any = false;
  while (flow != Flow::kBreak && loop->advance()) {
    rt_.step();
    const ScopePtr body_scope = inner(scope);
    assign(*statement.target, loop->current(), body_scope);
    if (loop_name >= 0) body_scope->set(loop_name, Value::object(loop));
    flow = run(statement.body, body_scope);
    // As in Jinja, an iteration that breaks or continues does not keep "else" from running.
    any = any || flow == Flow::kNormal;
  }
  if (!any) return run(statement.otherwise, inner(scope));
  return Flow::kNormal;
}

Interpreter::Flow Interpreter::run_set_block(const Stmt& statement, const ScopePtr& scope) {
  const ScopePtr block_scope = inner(scope);
  Flow flow = Flow::kNormal;
  Value value = Value::string(capture(statement.body, block_scope, &flow));
  if (flow != Flow::kNormal) return flow;
  if (statement.value != nullptr) {
    const Value text = value;
    value = evaluate_filter(*statement.value, block_scope, &text);
  }
  assign(*statement.target, value, scope);
  return Flow::kNormal;
}

Interpreter::Flow Interpreter::run_filter_block(const Stmt& statement, const ScopePtr& scope) {
  const ScopePtr block_scope = inner(scope);
  Flow flow = Flow::kNormal;
  const Value text = Value::string(capture(statement.body, block_scope, &flow));
  if (flow != Flow::kNormal) return flow;
  write(to_text(rt_, evaluate_filter(*statement.value, block_scope, &text)));
  return Flow::kNormal;
}

Interpreter::Flow Interpreter::run_with(const Stmt& statement, const ScopePtr& scope) {
  const ScopePtr with_scope = inner(scope);
  for (size_t i = 0; i < statement.expressions.size(); i += 2) {
    assign(*statement.expressions[i], evaluate(*statement.expressions[i + 1], scope), with_scope);
  }
  return run(statement.body, with_scope);
}

void Interpreter::run_call_block(const Stmt& statement, const ScopePtr& scope) {
  const Value caller = make_macro(statement, scope);
  write(to_text(rt_, evaluate_call(*statement.value, scope, &caller)));
}

Value Interpreter::make_macro(const Stmt& statement, const ScopePtr& scope) {
  rt_.produce_items(2);
  captured_.push_back(scope);
  return Value::object(std::make_shared<Macro>(*this, statement, scope));
}

void Interpreter::assign(const Expr& target, const Value& value, const ScopePtr& scope) {
  if (target.kind == ExprKind::kName) {
    scope->set(target.name, value);
    return;
  }
  if (target.kind == ExprKind::kNamespaceRef) {
    const Value holder = evaluate_name(target, scope);
    Namespace* ns =
        holder.is(Kind::kObject) ? dynamic_cast<Namespace*>(&holder.as_object()) : nullptr;
    if (ns == nullptr) rt_.error("cannot assign attribute on non-namespace object");
    ns->set(rt_, target.text, value);
    return;
  }
  const std::vector<Value> items = iterate(rt_, value);
  if (items.size() != target.children.size()) {
    rt_.error("cannot unpack {} values, expected {}", items.size(), target.children.size());
  }
  for (size_t i = 0; i < items.size(); ++i) assign(*target.children[i], items[i], scope);
}

Value Interpreter::call_macro(const Stmt& macro, const ScopePtr& scope,
                              const Arguments& arguments) {
  const ScopePtr macro_scope = inner(scope);
  const std::vector<Parameter>& parameters = macro.parameters;
  auto keyword = arguments.keyword;
  const size_t given = std::min(parameters.size(), arguments.positional.size());
  std::vector<bool> missing(parameters.size(), false);
  bool has_caller = false;
  for (size_t i = 0; i < parameters.size(); ++i) {
    has_caller = has_caller || parameters[i].text == "caller";
    Value value =
        Value::undefined(fmt::format("parameter '{}' was not provided", parameters[i].text));
    if (i < given) {
      value = arguments.positional[i];
    } else {
      missing[i] = !take_keyword(&keyword, parameters[i].text, &value);
    }
    macro_scope->set(parameters[i].name, value);
  }
  const auto set_special = [&](const std::string& name, Value value) {
    const auto found = std::find(ast_.names.begin(), ast_.names.end(), name);
    macro_scope->set(static_cast<int>(found - ast_.names.begin()), std::move(value));
  };
  if (macro.uses_caller && !has_caller) {
    Value caller = Value::undefined("No caller defined");
    take_keyword(&keyword, "caller", &caller);
    set_special("caller", caller);
  }
  if (macro.uses_kwargs) {
    auto dict = std::make_shared<DictData>();
    for (auto& [name, value] : keyword) dict->set(rt_, Value::string(name), value);
    set_special("kwargs", Value::dict(std::move(dict)));
  } else if (!keyword.empty()) {
    rt_.error("macro '{}' takes no keyword argument '{}'", macro.text, keyword[0].first);
  }
  if (macro.uses_varargs) {
    set_special("varargs", Value::tuple(rt_, {arguments.positional.begin() +
                                                  static_cast<std::ptrdiff_t>(given),
                                              arguments.positional.end()}));
  } else if (arguments.positional.size() > parameters.size()) {
    rt_.error("macro '{}' takes not more than {} argument(s)", macro.text, parameters.size());
  }
  for (size_t i = 0; i < parameters.size(); ++i) {
    if (missing[i] && parameters[i].fallback != nullptr) {
      macro_scope->set(parameters[i].name, evaluate(*parameters[i].fallback, macro_scope));
    }
  }
  Flow flow = Flow::kNormal;
  return Value::string(capture(macro.body, macro_scope, &flow));
}

}  // namespace headgate::jinja
