// The template parser: one class, expressions and statements in a file each.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/error.h"
#include "chat/jinja_ast.h"
#include "chat/jinja_lexer.h"

namespace headgate::jinja {

class Parser {
 public:
  Parser(std::vector<Token> tokens, std::string source_name)
      : tokens_(std::move(tokens)), source_name_(std::move(source_name)) {}

  Ast run();

 private:
  // Deeper trees are refused, so that no recursion over them can exhaust the stack.
  static constexpr int kMaxTreeDepth = 300;
  static constexpr int kMaxParseDepth = 120;

  // What a macro body reads of the names that Jinja fills in by itself.
  struct MacroFrame {
    bool caller = false, kwargs = false, varargs = false;
    std::vector<std::string> stored;
  };
  // An unknown filter or test; an error unless it is inside of an if.
  struct UnknownName {
    std::string what;
    int line;
  };
  class NestGuard {
   public:
    explicit NestGuard(Parser& parser) : parser_(parser) {
      if (++parser_.nesting_ > kMaxParseDepth) parser_.error("nested too deeply");
    }
    ~NestGuard() { --parser_.nesting_; }
    NestGuard(const NestGuard&) = delete;
    NestGuard& operator=(const NestGuard&) = delete;

   private:
    Parser& parser_;
  };

  template <typename... Args>
  [[noreturn]] void error_at(int line, fmt::format_string<Args...> format, Args&&... args) const {
    fail(ErrorCode::kInvalidFile, "{}:{}: {}", source_name_, line,
         fmt::format(format, std::forward<Args>(args)...));
  }
  template <typename... Args>
  [[noreturn]] void error(fmt::format_string<Args...> format, Args&&... args) const {
    error_at(current().line, format, std::forward<Args>(args)...);
  }

  // Tokens.
  const Token& current() const { return tokens_[at_]; }
  const Token& look() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
  Token next() {
    const Token& token = tokens_[at_];
    if (at_ + 1 < tokens_.size()) ++at_;
    return token;
  }
  bool at_operator(std::string_view op) const {
    return current().kind == TokenKind::kOperator && current().text == op;
  }
  bool at_name(std::string_view name) const {
    return current().kind == TokenKind::kName && current().text == name;
  }
  bool skip_operator(std::string_view op);
  bool skip_name(std::string_view name);
  void expect_operator(std::string_view op);
  void expect(TokenKind kind, std::string_view what);
  std::string expect_name();
  static std::string describe(const Token& token);

  // Expressions.
  ExprPtr make(ExprKind kind, int line, std::string text = {});
  void add_child(Expr& parent, ExprPtr child);
  void deepen(Expr& parent, const Expr& child);
  ExprPtr binary(ExprKind kind, int line, std::string op, ExprPtr left, ExprPtr right);
  ExprPtr parse_expression();
  ExprPtr parse_or();
  ExprPtr parse_and();
  ExprPtr parse_not();
  ExprPtr parse_compare();
  ExprPtr parse_sum();
  ExprPtr parse_concat();
  ExprPtr parse_product();
  ExprPtr parse_power();
  ExprPtr parse_unary(bool with_filter);
  ExprPtr parse_primary(bool with_namespace);
  ExprPtr parse_literal();
  ExprPtr parse_list();
  ExprPtr parse_dict();
  ExprPtr parse_postfix(ExprPtr expr);
  ExprPtr parse_filter_chain(ExprPtr expr);
  ExprPtr parse_filters(ExprPtr expr, bool starts_with_name);
  ExprPtr parse_test(ExprPtr expr);
  ExprPtr parse_subscript(ExprPtr expr);
  ExprPtr parse_subscript_argument();
  ExprPtr parse_call(ExprPtr callee);
  void parse_arguments(Expr& call);

  struct TupleRules {
    bool targets_only = false;  // names and literals, no operators
    bool with_conditional = true;
    bool in_parentheses = false;  // empty is allowed
    bool with_namespace = false;
  };
  ExprPtr parse_tuple(const TupleRules& rules);
  ExprPtr parse_target(bool with_namespace);
  void check_target(const Expr& target) const;
  int name_number(const std::string& name);
  void note_load(const std::string& name);
  void note_store(const std::string& name);

  // Statements.
  Body parse_body(std::initializer_list<std::string_view> end_names);
  Body parse_until(std::initializer_list<std::string_view> end_names);
  StmtPtr parse_statement();
  StmtPtr parse_other_statement();
  StmtPtr make_statement(StmtKind kind);
  StmtPtr parse_set();
  StmtPtr parse_for();
  StmtPtr parse_if();
  StmtPtr parse_macro();
  StmtPtr parse_call_block();
  StmtPtr parse_filter_block();
  StmtPtr parse_with();
  StmtPtr parse_print();
  StmtPtr parse_block();
  StmtPtr parse_scope(std::string_view end_name);
  StmtPtr parse_loop_control();
  void parse_signature(Stmt& statement);
  void parse_function_body(Stmt& statement, std::string_view end_name);
  // A body with variables of its own: unknown filters in it are errors.
  Body parse_inner(std::initializer_list<std::string_view> end_names);
  void reject_unknown(size_t from);

  std::vector<Token> tokens_;
  std::string source_name_;
  size_t at_ = 0;
  int nesting_ = 0;
  int loops_ = 0;      // loops that break may leave
  int for_depth_ = 0;  // for tags around, in which "loop" may not be assigned
  bool in_target_ = false;
  std::vector<MacroFrame> macros_;
  std::vector<UnknownName> unknown_;
  std::unordered_map<std::string, int> name_numbers_;
  std::vector<std::string> names_;
};

}  // namespace headgate::jinja
