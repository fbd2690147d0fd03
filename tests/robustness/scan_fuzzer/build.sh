#!/usr/bin/env bash
# Builds the fuzzer of the compiled scanner: build.sh PYTHON FILE. Needs clang with libFuzzer (CLANG=clang-18).
set -euo pipefail
here=$(dirname "$0")
read -r -a python <<< "$("$1" - <<'END'
import sysconfig
get = sysconfig.get_config_var
folder = get("LIBDIR")
print(f"-I{sysconfig.get_path('include')} -L{folder} -Wl,-rpath,{folder} -lpython{get('LDVERSION')}", get("LIBS"), get("SYSLIBS"))
END
)"
mkdir -p "$(dirname "$2")"
"${CLANG:-clang}" -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined \
    "$here/harness.c" "${python[@]}" -o "$2"
