// Formatting of text: "%s" % x, "{}".format(x), HTML escaping and URL quoting.
#pragma once

#include <string>
#include <string_view>

#include "chat/jinja_value.h"

namespace headgate::jinja {

// format % value, where value is a tuple of arguments, a dict for %(name)s, or one argument
std::string format_percent(Runtime& rt, const std::string& format, const Value& value);

// format.format(*positional, **keyword)
std::string format_braces(Runtime& rt, const std::string& format, const Arguments& arguments);

// & < > ' " as entities
std::string escape_html(Runtime& rt, std::string_view text);
// Percent-encoding; '/' stays unless in a query, where a space becomes '+'.
std::string quote_url(Runtime& rt, std::string_view text, bool in_query);

}  // namespace headgate::jinja
