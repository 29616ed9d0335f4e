/*
 * engine_type -- MalQuery's name for what libmagic says about a file.
 *
 * Threads    any for engine_type_of_text(); a magic_t belongs to one thread.
 */
#pragma once

/* "PE64" for "PE32+ executable (GUI) x86-64, for MS Windows"; upper case, "" when no name fits. Never NULL. */
const char *engine_type_of_text(const char *description);
