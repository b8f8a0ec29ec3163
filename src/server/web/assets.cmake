# What the web page consists of: sets HEADGATE_WEB_ASSETS, a list of "URL|FILE|CONTENT TYPE" to embed and serve.
#
# Our own files lie in this folder. marked, DOMPurify, KaTeX and its fonts come from Debian packages (libjs-marked,
# node-dompurify, libjs-katex, fonts-katex); where one is missing the page shows source text in its place. Files are
# read by the build, so each is listed in HEADGATE_WEB_FILES as something the embedding depends on.

set(HEADGATE_WEB_FOLDER ${CMAKE_CURRENT_LIST_DIR})
set(HEADGATE_WEB_ASSETS)

function(headgate_web_asset url file)
  if(file MATCHES "\\.html$")
    set(type "text/html")
  elseif(file MATCHES "\\.css$")
    set(type "text/css")
  elseif(file MATCHES "\\.js$")
    set(type "text/javascript")
  elseif(url MATCHES "\\.txt$")
    set(type "text/plain")
  elseif(file MATCHES "\\.svg$")
    set(type "image/svg+xml")
  else()
    set(type "font/woff2")
  endif()
  list(APPEND HEADGATE_WEB_ASSETS "${url}|${file}|${type}")
  set(HEADGATE_WEB_ASSETS "${HEADGATE_WEB_ASSETS}" PARENT_SCOPE)
endfunction()

headgate_web_asset(/ ${HEADGATE_WEB_FOLDER}/index.html)
headgate_web_asset(/status ${HEADGATE_WEB_FOLDER}/status.html)
foreach(name
    icon.svg css/base.css css/chat.css css/panels.css css/status.css
    js/api.js js/app.js js/chart.js js/composer.js js/conversation.js js/dialogs.js js/dom.js js/errors.js js/figures.js
    js/highlight.js js/history.js js/icons.js js/markdown.js js/message.js js/settings.js js/shortcuts.js js/status.js
    js/store.js js/theme.js js/theme-early.js js/tokens.js js/transcript.js js/turn.js)
  headgate_web_asset(/web/${name} ${HEADGATE_WEB_FOLDER}/${name})
endforeach()

# Folders of Debian's JavaScript; other systems name their own with -DHEADGATE_JAVASCRIPT=FOLDER and -DHEADGATE_NODEJS=FOLDER.
set(HEADGATE_JAVASCRIPT /usr/share/javascript CACHE PATH "Folder with marked/ and katex/ for the web page")
set(HEADGATE_NODEJS /usr/share/nodejs CACHE PATH "Folder with dompurify/ for the web page")
foreach(library
    marked.min.js=${HEADGATE_JAVASCRIPT}/marked/marked.min.js
    purify.min.js=${HEADGATE_NODEJS}/dompurify/dist/purify.min.js
    katex.min.js=${HEADGATE_JAVASCRIPT}/katex/katex.min.js
    katex.min.css=${HEADGATE_JAVASCRIPT}/katex/katex.min.css)
  string(REGEX MATCH "^([^=]+)=(.+)$" matched "${library}")
  if(EXISTS ${CMAKE_MATCH_2})
    headgate_web_asset(/web/lib/${CMAKE_MATCH_1} ${CMAKE_MATCH_2})
  else()
    message(STATUS "Web page: ${CMAKE_MATCH_2} is missing; the page does without it")
  endif()
endforeach()
file(GLOB headgate_katex_fonts ${HEADGATE_JAVASCRIPT}/katex/fonts/*.woff2)
foreach(font IN LISTS headgate_katex_fonts)
  get_filename_component(name ${font} NAME)
  headgate_web_asset(/web/lib/fonts/${name} ${font})
endforeach()

# Their licences ask to travel with them.
foreach(package libjs-marked node-dompurify libjs-katex fonts-katex)
  if(EXISTS /usr/share/doc/${package}/copyright)
    headgate_web_asset(/web/licences/${package}.txt /usr/share/doc/${package}/copyright)
  endif()
endforeach()

set(HEADGATE_WEB_FILES)
foreach(asset IN LISTS HEADGATE_WEB_ASSETS)
  string(REGEX REPLACE "^[^|]*\\|([^|]*)\\|.*$" "\\1" file "${asset}")
  list(APPEND HEADGATE_WEB_FILES ${file})
endforeach()
