# What a package has otherwise than an installation by hand; CPack runs this between the two.
set(root ${CPACK_TEMPORARY_INSTALL_DIRECTORY})
file(GLOB pages ${root}/usr/share/man/man*/*.[1-9])
set(doc ${root}/usr/share/doc/malqueryfs)

if(CPACK_GENERATOR STREQUAL "DEB")
    include(${CMAKE_CURRENT_LIST_DIR}/debian/finish.cmake)
    list(APPEND pages ${doc}/changelog ${doc}/changelog.Debian)
endif()
foreach(page IN LISTS pages)
    execute_process(COMMAND gzip -9n ${page} COMMAND_ERROR_IS_FATAL ANY)
endforeach()
