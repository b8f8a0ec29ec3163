// Evaluation of expressions.
#include "chat/jinja_interpreter.h"

namespace headgate::jinja {

Value Interpreter::evaluate(const Expr& expr, const ScopePtr& scope) {
  const DepthGuard guard(rt_);
  rt_.step();
  switch (expr.kind) {
    case ExprKind::kConstant:
      return expr.constant;
    case ExprKind::kName:
      return evaluate_name(expr, scope);
    case ExprKind::kTuple:
    case ExprKind::kList:
    case ExprKind::kDict:
      return evaluate_collection(expr, scope);
    case ExprKind::kAttribute: {
      const Value object = evaluate(*expr.children[0], scope);
      rt_.set_line(expr.line);
      return get_attribute(rt_, object, expr.text);
    }
    case ExprKind::kItem:
      return evaluate_item(expr, scope);
    case ExprKind::kCall:
      return evaluate_call(expr, scope, nullptr);
    case ExprKind::kFilter:
      return evaluate_filter(expr, scope, nullptr);
    case ExprKind::kTest:
      return evaluate_test(expr, scope);
    case ExprKind::kConditional:
      return evaluate_conditional(expr, scope);
    case ExprKind::kNot:
      return Value::boolean(!truth(evaluate(*expr.children[0], scope)));
    case ExprKind::kNegative:
    case ExprKind::kPositive: {
      const Value operand = evaluate(*expr.children[0], scope);
      rt_.set_line(expr.line);
      return negate(rt_, operand, expr.kind == ExprKind::kNegative);
    }
    case ExprKind::kAnd:
    case ExprKind::kOr: {
      Value left = evaluate(*expr.children[0], scope);
      const bool decided = truth(left) == (expr.kind == ExprKind::kOr);
      return decided ? left : evaluate(*expr.children[1], scope);
    }
    case ExprKind::kArithmetic: {
      const Value left = evaluate(*expr.children[0], scope);
      const Value right = evaluate(*expr.children[1], scope);
      rt_.set_line(expr.line);
      return arithmetic(rt_, expr.text, left, right);
    }
    case ExprKind::kConcat:
      return evaluate_concat(expr, scope);
    case ExprKind::kCompare:
      return evaluate_compare(expr, scope);
    case ExprKind::kSlice:
    case ExprKind::kNamespaceRef:
      break;
  }
  rt_.error("this expression has no value");
}

Value Interpreter::evaluate_name(const Expr& expr, const ScopePtr& scope) {
  for (const Scope* s = scope.get(); s != nullptr; s = s->parent.get()) {
    if (const Value* found = s->find(expr.name)) return *found;
  }
  return Value::undefined(fmt::format("'{}' is undefined", expr.text));
}

Value Interpreter::evaluate_collection(const Expr& expr, const ScopePtr& scope) {
  if (expr.kind == ExprKind::kDict) {
    auto dict = std::make_shared<DictData>();
    for (size_t i = 0; i < expr.children.size(); i += 2) {
      Value key = evaluate(*expr.children[i], scope);
      Value value = evaluate(*expr.children[i + 1], scope);
      rt_.set_line(expr.line);
      dict->set(rt_, std::move(key), std::move(value));
    }
    return Value::dict(std::move(dict));
  }
  std::vector<Value> items;
  items.reserve(expr.children.size());
  for (const ExprPtr& child : expr.children) items.push_back(evaluate(*child, scope));
  return expr.kind == ExprKind::kList ? Value::list(rt_, std::move(items))
                                      : Value::tuple(rt_, std::move(items));
}

Value Interpreter::evaluate_item(const Expr& expr, const ScopePtr& scope) {
  const Value object = evaluate(*expr.children[0], scope);
  const Expr& index = *expr.children[1];
  if (index.kind != ExprKind::kSlice) {
    const Value key = evaluate(index, scope);
    rt_.set_line(expr.line);
    return get_item(rt_, object, key);
  }
  Value bounds[3];
  for (size_t i = 0; i < 3; ++i) {
    if (index.children[i] != nullptr) bounds[i] = evaluate(*index.children[i], scope);
  }
  rt_.set_line(expr.line);
  return get_slice(rt_, object, bounds[0], bounds[1], bounds[2]);
}

Arguments Interpreter::evaluate_arguments(const CallArguments& arguments, const ScopePtr& scope) {
  Arguments values;
  for (const ExprPtr& expr : arguments.positional) {
    values.positional.push_back(evaluate(*expr, scope));
  }
  for (const auto& [name, expr] : arguments.keyword) {
    values.keyword.emplace_back(name, evaluate(*expr, scope));
  }
  if (arguments.more_positional != nullptr) {
    for (Value& item : iterate(rt_, evaluate(*arguments.more_positional, scope))) {
      values.positional.push_back(std::move(item));
    }
  }
  if (arguments.more_keyword != nullptr) {
    const Value more = evaluate(*arguments.more_keyword, scope);
    if (!more.is(Kind::kDict)) rt_.error("argument after ** must be a mapping");
    for (const auto& [key, value] : more.dict_data().items) {
      if (!key.is_string()) rt_.error("keywords must be strings");
      for (const auto& other : values.keyword) {
        rt_.step();
        if (other.first == key.as_text()) {
          rt_.error("got multiple values for keyword argument '{}'", key.as_text());
        }
      }
      values.keyword.emplace_back(key.as_text(), value);
    }
  }
  return values;
}

Value Interpreter::evaluate_call(const Expr& expr, const ScopePtr& scope, const Value* caller) {
  const Value callee = evaluate(*expr.children[0], scope);
  Arguments arguments = evaluate_arguments(expr.arguments, scope);
  if (caller != nullptr) arguments.keyword.emplace_back("caller", *caller);
  rt_.set_line(expr.line);
  return call_value(rt_, callee, arguments);
}

Value Interpreter::evaluate_filter(const Expr& expr, const ScopePtr& scope, const Value* input) {
  // In a filter block or set block the innermost filter of the chain gets the block's output.
  const Expr* source = expr.children[0].get();
  Value value;
  if (source == nullptr) {
    if (input != nullptr) value = *input;
  } else if (input != nullptr && source->kind == ExprKind::kFilter) {
    const DepthGuard guard(rt_);
    value = evaluate_filter(*source, scope, input);
  } else {
    value = evaluate(*source, scope);
  }
  const Arguments arguments = evaluate_arguments(expr.arguments, scope);
  rt_.set_line(expr.line);
  if (expr.filter == nullptr) rt_.error("No filter named '{}' found.", expr.text);
  return expr.filter(rt_, value, arguments);
}

Value Interpreter::evaluate_test(const Expr& expr, const ScopePtr& scope) {
  const Value value = evaluate(*expr.children[0], scope);
  const Arguments arguments = evaluate_arguments(expr.arguments, scope);
  rt_.set_line(expr.line);
  if (expr.test == nullptr) rt_.error("No test named '{}' found.", expr.text);
  return Value::boolean(expr.test(rt_, value, arguments));
}

Value Interpreter::evaluate_conditional(const Expr& expr, const ScopePtr& scope) {
  if (truth(evaluate(*expr.children[1], scope))) return evaluate(*expr.children[0], scope);
  if (expr.children[2] != nullptr) return evaluate(*expr.children[2], scope);
  return Value::undefined(fmt::format(
      "the inline if-expression on line {} evaluated to false and no else section was defined.",
      expr.line));
}

Value Interpreter::evaluate_concat(const Expr& expr, const ScopePtr& scope) {
  std::string text;
  for (const ExprPtr& child : expr.children) {
    const Value value = evaluate(*child, scope);
    rt_.set_line(expr.line);
    text += value.is_string() ? value.as_text() : to_text(rt_, value);
    rt_.check_growing(text.size());
  }
  rt_.produce(text.size());
  return Value::string(std::move(text));
}

Value Interpreter::evaluate_compare(const Expr& expr, const ScopePtr& scope) {
  Value left = evaluate(*expr.children[0], scope);
  for (size_t i = 0; i < expr.operators.size(); ++i) {
    Value right = evaluate(*expr.children[i + 1], scope);
    const std::string& op = expr.operators[i];
    rt_.set_line(expr.line);
    bool holds = false;
    if (op == "==" || op == "!=") {
      holds = equal(rt_, left, right) == (op == "==");
    } else if (op == "in" || op == "not in") {
      holds = contains(rt_, right, left) == (op == "in");
    } else {
      holds = ordered(rt_, op, left, right);
    }
    if (!holds) return Value::boolean(false);
    left = std::move(right);
  }
  return Value::boolean(true);
}

}  // namespace headgate::jinja
