# Names and places of Debian; included by packaging/finish.cmake.
set(here ${CMAKE_CURRENT_LIST_DIR})
file(READ ${doc}/LICENSE license)
string(REGEX MATCH "Copyright \\(c\\) ([^\n]*)" line "${license}")
set(copyright "${CMAKE_MATCH_1}")
string(REGEX REPLACE "^.*\n(Permission is)" "\\1" license "${license}")
string(STRIP "${license}" license)
string(REPLACE "\n\n" "\n.\n" license "${license}") # as Debian's files have paragraphs
string(REPLACE "\n" "\n " license " ${license}")
configure_file(${here}/copyright.in ${doc}/copyright @ONLY)
file(REMOVE ${doc}/LICENSE)

file(RENAME ${doc}/CHANGELOG.md ${doc}/changelog)
string(TIMESTAMP date "%a, %d %b %Y %H:%M:%S +0000" UTC) # SOURCE_DATE_EPOCH when it is set
set(version ${CPACK_PACKAGE_VERSION}-${CPACK_DEBIAN_PACKAGE_RELEASE})
configure_file(${here}/changelog.in ${doc}/changelog.Debian @ONLY)
file(COPY ${here}/README.Debian DESTINATION ${doc})

file(RENAME ${root}/usr/share/zsh/site-functions ${root}/usr/share/zsh/vendor-completions)
