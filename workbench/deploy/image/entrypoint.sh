#!/bin/sh
# What the image runs: `serve`, `train …` or any other command of workbench, also with `workbench` before it;
# a shell, Python or a program with a path as they are. It gives its process away, so signals arrive.
set -eu

case "${1-}" in
    workbench) shift ;;
    sh | bash | python | python3 | */*) exec "$@" ;;
esac

if [ "${1-}" = serve ]; then
    shift
    if [ ! -e workbench.toml ] && [ -w . ]; then
        # A project of its own keeps the prediction log and the key's hash in the volume.
        printf '[project]\nname = "%s"\n' "${PROJECT_NAME:-workbench}" > workbench.toml
        echo "no workbench.toml in $PWD: an empty project was begun there" >&2
    fi
    # Other options of the command line come later and win.
    case "${WORKBENCH_SERVE__ALLOW_PUBLIC_WITHOUT_KEYS:-false}" in
        true | True | TRUE | 1 | yes | on) set -- serve --host 0.0.0.0 "$@" ;;
        *) set -- serve --host 0.0.0.0 --make-key "$@" ;;
    esac
fi
exec workbench "$@"
