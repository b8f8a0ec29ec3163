// The syntax tree of a template.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "chat/jinja_filters.h"
#include "chat/jinja_value.h"

namespace headgate::jinja {

struct Expr;
struct Stmt;
using ExprPtr = std::unique_ptr<Expr>;
using StmtPtr = std::unique_ptr<Stmt>;
using Body = std::vector<StmtPtr>;

enum class ExprKind {
  kConstant,      // constant
  kName,          // name
  kNamespaceRef,  // name.text, as a target of set only
  kTuple,         // children
  kList,          // children
  kDict,          // children: key, value, key, value...
  kSlice,         // children: start, stop, step, any of them null
  kAttribute,     // children[0].text
  kItem,          // children[0][children[1]]
  kCall,          // children[0](arguments)
  kFilter,        // children[0] | text(arguments); children[0] is null in a filter block
  kTest,          // children[0] is text(arguments)
  kConditional,   // children: value, condition, otherwise or null
  kNot,
  kNegative,
  kPositive,
  kAnd,
  kOr,
  kArithmetic,  // children[0] text children[1]
  kConcat,      // children joined by ~
  kCompare      // children[0] operators[0] children[1] operators[1] ...
};

struct CallArguments {
  std::vector<ExprPtr> positional;
  std::vector<std::pair<std::string, ExprPtr>> keyword;
  ExprPtr more_positional;  // *args
  ExprPtr more_keyword;     // **kwargs
};

struct Expr {
  ExprKind kind;
  int line = 1;
  int depth = 1;  // levels of this tree
  int name = -1;  // number of a name in Template::names
  std::string text;
  Value constant;
  std::vector<ExprPtr> children;
  std::vector<std::string> operators;
  CallArguments arguments;
  Filter filter = nullptr;
  Test test = nullptr;
};

enum class StmtKind {
  kData,         // text
  kPrint,        // expressions
  kSet,          // target = value
  kSetBlock,     // target = body | value (a filter chain or null)
  kFor,          // target in value if condition, body, otherwise
  kIf,           // branches, otherwise
  kMacro,        // name(parameters), body
  kCallBlock,    // value (a call), parameters, body
  kFilterBlock,  // value (a filter chain), body
  kWith,         // targets and values in expressions, body
  kScope,        // body with variables of its own
  kBlock,        // body that sees only the template's outermost variables
  kBreak,
  kContinue
};

struct Parameter {
  int name;
  std::string text;
  ExprPtr fallback;
};

struct Branch {
  ExprPtr condition;
  Body body;
};

struct Stmt {
  StmtKind kind;
  int line = 1;
  int name = -1;
  std::string text;
  ExprPtr target, value, condition;
  std::vector<ExprPtr> expressions;
  std::vector<Parameter> parameters;
  std::vector<Branch> branches;
  Body body, otherwise;
  bool recursive = false;
  bool uses_caller = false, uses_kwargs = false, uses_varargs = false;
};

struct Ast {
  Body body;
  std::vector<std::string> names;  // every name used, by number
};

// Source -> tree. Throws kInvalidFile for bad syntax and kUnsupported for tags that need other
// templates: "name:line: ...".
Ast parse_template(std::string_view source, const std::string& name);

}  // namespace headgate::jinja
