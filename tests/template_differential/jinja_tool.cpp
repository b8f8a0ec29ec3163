// Renders templates for jinja_differential.py: JSON lines {"template", "context"} on stdin, one
// line {"output"} or {"error"} for each on stdout.
#include <ctime>
#include <iostream>
#include <string>

#include "base/error.h"
#include "base/json.h"
#include "chat/jinja.h"

int main() {
  std::string line;
  while (std::getline(std::cin, line)) {
    headgate::json::object answer;
    try {
      const auto request = headgate::parse_json(line, "stdin").as_object();
      const auto& source = request.at("template").as_string();
      const headgate::jinja::Template compiled(std::string(source.data(), source.size()),
                                               "chat_template");
      answer["output"] = compiled.render(request.at("context").as_object(), std::time(nullptr));
    } catch (const headgate::Error& e) {
      answer["error"] = e.what();
    }
    std::cout << headgate::dump_json(answer) << std::endl;
  }
  return 0;
}
