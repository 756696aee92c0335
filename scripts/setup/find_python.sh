#!/bin/sh
# Print the Python that the set-up uses: the one given as argument, else that of .venv, else the first supported one
# found under the usual names. With --check, print nothing, or say in one sentence what is wrong and end with code 2.

check=
if [ "$1" = --check ]; then
  check=yes
  shift
fi

supported() {
  "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1
}

# The one that is named may have spaces in its path.
[ -n "$1" ] || set -- .venv/bin/python python3 python3.12 python3.11 python3.13 python
[ $# -gt 1 ] && named= || named=$1

for candidate in "$@"; do
  if supported "$candidate"; then
    [ -n "$check" ] || echo "$candidate"
    exit 0
  fi
done

[ -n "$check" ] || exit 2
if [ -n "$named" ]; then
  found=
  if command -v "$named" >/dev/null; then
    # The first line only: version managers explain themselves at length.
    IFS= read -r found <<END
$("$named" --version 2>&1)
END
  fi
  echo "PYTHON=$named is not a Python 3.11, 3.12 or 3.13 (it answers: ${found:-nothing}); name one that is." >&2
else
  echo "No Python 3.11, 3.12 or 3.13 was found; install one, or name it: make PYTHON=/path/to/python3 ..." >&2
fi
exit 2
