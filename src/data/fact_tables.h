// Tables of facts and small talk, as text that fact_skills and chat_skills split.
#pragma once

#include <string_view>

namespace headgate {

// Pairs of words "a b;c d"; "_" stands for a space.
std::string_view opposites_table();
std::string_view past_tenses_table();
std::string_view plurals_table();
std::string_view animal_sounds_table();
std::string_view capitals_table();   // country, capital
std::string_view languages_table();  // country, language
// Items parted by ";".
std::string_view hard_topics_table();
// Lines "name|text".
std::string_view kinds_table();        // "a fruit|apple pear ..."
std::string_view feelings_table();     // "sad|I am sorry ..."
std::string_view definitions_table();  // "rain|Rain is water ..."
// Lines.
std::string_view unknown_questions_table();
// Lines "question|question..", each followed by "=answer|answer.."; a backslash and n is a line
// break.
std::string_view small_talk_table();

}  // namespace headgate
