// Included before every source file: what Debian's headers and shell lack beside Android's.
#pragma once

#include <atomic>
#include <optional>

#include <paths.h>

// Android's /system/bin/sh is mksh, so commands run in mksh here too.
#undef _PATH_BSHELL
#define _PATH_BSHELL "/bin/mksh"
