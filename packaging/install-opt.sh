#!/bin/sh
# Installs hfdmd for everybody on this machine: the code under /opt/hfdmd, a system service, and the command hfdm.
#
#   sudo packaging/install-opt.sh [REQUIREMENT]     install or upgrade; REQUIREMENT is for pip: a folder, a wheel, or
#                                                   hfdmd==1.2 (default: this source tree, else hfdmd)
#   sudo packaging/install-opt.sh --uninstall [--delete-models] [--force]
#
# An upgrade builds the new version beside the old one and then changes one symlink; when the new daemon does not
# come up, the old one is put back. Downloads go on where they were. The old version is deleted last.
# pip reads its own settings (PIP_INDEX_URL, PIP_NO_INDEX, PIP_FIND_LINKS, /etc/pip.conf).
# HFDMD_PYTHON: the interpreter to build with (default /usr/bin/python3); it must be root's and outside of homes.
set -eu
umask 022
PREFIX=/opt/hfdmd
PYTHON=${HFDMD_PYTHON:-/usr/bin/python3}
COMMAND=/usr/local/bin/hfdm
say() { echo "install-opt: $*"; }
die() { echo "install-opt: $*" >&2; exit 1; }

[ "$(id -u)" = 0 ] || die "needs root: sudo $0"

if [ "${1:-}" = --uninstall ]; then
  shift
  [ -x "$PREFIX/bin/hfdm" ] || die "$PREFIX is not there"
  "$PREFIX/bin/hfdm" service uninstall --system "$@"
  if [ "$(readlink "$COMMAND" || :)" = "$PREFIX/bin/hfdm" ]; then rm "$COMMAND"; fi
  rm -rf "$PREFIX"
  say "removed $PREFIX"
  exit
fi

case ${1:-} in -*) sed -n '2,6s/^# \{0,1\}//p' "$0" >&2; exit 2;; esac
SOURCE=$(dirname "$(dirname "$(readlink -f "$0")")")
if [ -n "${1:-}" ]; then WANTED=$1; elif [ -f "$SOURCE/pyproject.toml" ]; then WANTED=$SOURCE; else WANTED=hfdmd; fi

"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2> /dev/null || die "$PYTHON is not Python 3.11 or newer; name one with HFDMD_PYTHON"
"$PYTHON" -c 'import ensurepip, venv' 2> /dev/null || die "$PYTHON cannot make a virtual environment: apt-get install python3-venv"
[ ! -e "$PREFIX" ] || [ -d "$PREFIX/versions" ] || die "$PREFIX is there, but was not made by this installer; move it away first"

OLD=$(readlink "$PREFIX/current" || :)
NEW=versions/$(date -u +%Y%m%dT%H%M%SZ)-$$
mkdir -p "$PREFIX/versions"
trap 'rm -rf "${PREFIX:?}/$NEW"' EXIT
"$PYTHON" -m venv "$PREFIX/$NEW"
say "installing $WANTED"
"$PREFIX/$NEW/bin/python" -m pip install --quiet --disable-pip-version-check "$WANTED"
"$PREFIX/$NEW/bin/hfdmd" --version > /dev/null || die "the new version does not start; nothing was changed"

point() { ln -s "$1" "$PREFIX/current.new" && mv -T "$PREFIX/current.new" "$PREFIX/current"; }
rm -f "$PREFIX/current.new"
point "$NEW"
mkdir -p "$PREFIX/bin"
for name in hfdmd hfdm; do ln -sfn "../current/bin/$name" "$PREFIX/bin/$name"; done

start() { "$PREFIX/bin/hfdm" service install --system --now --program "$PREFIX/bin/hfdmd" && { [ -z "$OLD" ] || systemctl restart hfdmd.service; }; }
if ! start; then
  if [ -n "$OLD" ]; then
    point "$OLD"
    "$PREFIX/bin/hfdm" service install --system --now --program "$PREFIX/bin/hfdmd" || :
    die "the new version does not come up as a service; the old one is back"
  fi
  trap - EXIT
  die "installed, but the service does not come up; the reason is above, and in: journalctl -u hfdmd"
fi
trap - EXIT
for old in "$PREFIX"/versions/*; do
  [ "$old" = "$PREFIX/$NEW" ] || rm -rf "$old"
done
[ -e "$COMMAND" ] || [ -L "$COMMAND" ] || ln -s "$PREFIX/bin/hfdm" "$COMMAND"
say "done: $("$PREFIX/bin/hfdmd" --version) under $PREFIX"
