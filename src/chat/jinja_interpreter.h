// Walks the syntax tree of a template and writes its output.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "chat/jinja_ast.h"
#include "chat/jinja_objects.h"

namespace headgate::jinja {

// Variables of one block. Lookups go on to the surrounding block.
struct Scope {
  explicit Scope(std::shared_ptr<Scope> outer) : parent(std::move(outer)) {}

  const Value* find(int name) const;
  void set(int name, Value value);

  std::shared_ptr<Scope> parent;
  std::vector<std::pair<int, Value>> variables;
};
using ScopePtr = std::shared_ptr<Scope>;

class Interpreter {
 public:
  Interpreter(const Ast& ast, Runtime& rt);
  ~Interpreter();
  Interpreter(const Interpreter&) = delete;
  Interpreter& operator=(const Interpreter&) = delete;

  // Renders with these variables; each overrides a global of the same name.
  std::string render(const json::object& variables);

  // Calls a macro: binds the arguments, runs the body in `scope`, returns its output.
  Value call_macro(const Stmt& macro, const ScopePtr& scope, const Arguments& arguments);

 private:
  enum class Flow { kNormal, kBreak, kContinue };

  // Expressions.
  Value evaluate(const Expr& expr, const ScopePtr& scope);
  Value evaluate_name(const Expr& expr, const ScopePtr& scope);
  Value evaluate_collection(const Expr& expr, const ScopePtr& scope);
  Value evaluate_item(const Expr& expr, const ScopePtr& scope);
  Value evaluate_call(const Expr& expr, const ScopePtr& scope, const Value* caller);
  Value evaluate_filter(const Expr& expr, const ScopePtr& scope, const Value* input);
  Value evaluate_test(const Expr& expr, const ScopePtr& scope);
  Value evaluate_conditional(const Expr& expr, const ScopePtr& scope);
  Value evaluate_concat(const Expr& expr, const ScopePtr& scope);
  Value evaluate_compare(const Expr& expr, const ScopePtr& scope);
  Arguments evaluate_arguments(const CallArguments& arguments, const ScopePtr& scope);

  // Statements.
  Flow run(const Body& body, const ScopePtr& scope);
  Flow run_statement(const Stmt& statement, const ScopePtr& scope);
  Flow run_if(const Stmt& statement, const ScopePtr& scope);
  Flow run_loop(const Stmt& statement, const Value& sequence, const ScopePtr& scope, int depth0);
  Flow run_set_block(const Stmt& statement, const ScopePtr& scope);
  Flow run_filter_block(const Stmt& statement, const ScopePtr& scope);
  Flow run_with(const Stmt& statement, const ScopePtr& scope);
  void run_call_block(const Stmt& statement, const ScopePtr& scope);
  void assign(const Expr& target, const Value& value, const ScopePtr& scope);
  Value make_macro(const Stmt& statement, const ScopePtr& scope);
  ScopePtr inner(const ScopePtr& scope);
  void write(std::string_view text);
  // Runs `body` and returns what it wrote.
  std::string capture(const Body& body, const ScopePtr& scope, Flow* flow);

  const Ast& ast_;
  Runtime& rt_;
  std::shared_ptr<NamespaceRegistry> registry_;
  ScopePtr root_;
  std::string* out_ = nullptr;
  std::vector<std::weak_ptr<Scope>> captured_;  // scopes that macros hold
};

}  // namespace headgate::jinja
