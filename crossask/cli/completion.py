"""crossask-completion: prints a script that completes verbs and flags in a shell.

crossask-completion bash             add to ~/.bashrc: eval "$(crossask completion bash)"
crossask-completion zsh              add to ~/.zshrc:  eval "$(crossask completion zsh)"
"""

import importlib
import sys
from collections.abc import Sequence

from absl import flags

from crossask.cli import command
from crossask.errors import CrossaskError

FLAGS = flags.FlagValues()
# zsh reads bash's completions after these lines. The second one needs what compinit defines, which
# a ~/.zshrc without completions, such as that of macOS, does not call.
ZSH_START = """\
(( $+functions[compdef] )) || { autoload -U +X compinit && compinit }
autoload -U +X bashcompinit && bashcompinit
"""
# Words that begin with a dash are flags; others are completed as file names.
BASH = """\
_crossask() {{
  local word="${{COMP_WORDS[COMP_CWORD]}}" name="${{COMP_WORDS[0]##*/}}" words=""
  local verb="${{name#crossask-}}"
  if [[ "$name" == crossask ]]; then verb="${{COMP_WORDS[1]}}"; fi
  if [[ "$name" == crossask && $COMP_CWORD == 1 ]]; then
    words="{verbs}"
  elif [[ "$word" == -* ]]; then
    case "$verb" in
{cases}
    esac
  fi
  COMPREPLY=( $(compgen -W "$words" -- "$word") )
}}
complete -o default -o nospace -F _crossask {commands}
"""


def completion(_values: flags.FlagValues, shells: list[str]) -> None:
    """Prints the script of a shell."""
    if not shells:
        raise CrossaskError("No shell is given.", "Give bash or zsh.")
    if shells not in (["bash"], ["zsh"]):
        raise CrossaskError(
            f"{' '.join(shells)!r} is not a shell that is supported.", "Give bash or zsh."
        )
    if shells == ["zsh"]:
        print(ZSH_START, end="")
    print(_script(), end="")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    return command.run(__doc__, FLAGS, completion, argv)


def _script() -> str:
    """Returns the script for bash, with the flags of each verb."""
    from crossask.cli.main import verbs

    cases = []
    for verb in verbs():
        flag_values = importlib.import_module(f"crossask.cli.{verb}").FLAGS
        names = " ".join(f"--{name}" for name in command.shown_flags(flag_values))
        cases.append(f'      {verb}) words="{names} --help" ;;')
    commands = ["crossask", *(f"crossask-{verb}" for verb in verbs())]
    return BASH.format(verbs=" ".join(verbs()), cases="\n".join(cases), commands=" ".join(commands))


if __name__ == "__main__":
    sys.exit(main())
