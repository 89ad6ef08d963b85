# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
# Writes what zsh offers for a line into a file: zsh -f capture.zsh DIRECTORY_OF_COMPLETION FILE LINE

# In the zsh that completes: source capture.zsh DIRECTORY_OF_COMPLETION FILE
if (($# == 2)); then
	PROMPT=
	fpath=($1 $fpath)
	output=$2
	autoload -U compinit
	compinit -D -u
	zstyle ':completion:*' insert-tab false
	bindkey '^I' complete-word
	# All candidates pass through compadd. With -O, -A or -D it only fills arrays.
	compadd() {
		local -a candidates
		if [[ ${@[1,(i)(-|--)]} != *-(O|A|D)\ * ]]; then
			builtin compadd -A candidates "$@"
			((!$#candidates)) || print -rl -- $IPREFIX${^candidates} >> $output
		fi
		builtin compadd "$@"
	}
	comppostfuncs=(exit)
	return
fi

zmodload zsh/zpty
zpty z zsh -f -i
zpty -w z "source ${(q)ZSH_ARGZERO:A} ${(q)1} ${(q)2}; print ready"
while zpty -r z line && [[ $line != ready* ]]; do done
zpty -w -n z "$3"$'\t'
while zpty -r z line; do done
zpty -d z
