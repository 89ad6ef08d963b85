# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
# The options in the -h of a verb, one per line: letter, name, value and description, separated by colons.
# All completions contain this program in single quotes, so it has no single quotes and no backslashes.
function print_option() {
	if (name != "") {
		# The first part of the sentence
		sub(/( [(]|[,;.:]( |$)).*/, "", text)
		gsub(/:/, " ", text)
		print letter ":" name ":" value ":" text
	}
	name = text = ""
}

{ match($0, /[^ ]/) }

RSTART == 0 { print_option() }

RSTART > 1 && RSTART < 8 && substr($0, RSTART, 1) == "-" {
	print_option()
	letter = $1 ~ /^-[a-zA-Z],$/ ? substr($1, 1, 2) : ""
	name = letter == "" ? $1 : $2
	text = substr($0, index($0, name) + length(name))
	value = ""
	if (text ~ /^ ([A-Z]|[a-z]+[|])/) {
		value = substr(text, 2)
		sub(/ .*/, "", value)
		text = substr(text, 2 + length(value))
	}
	sub(/^ +/, "", text)
	next
}

RSTART > 7 && name != "" { text = (text == "" ? "" : text " ") substr($0, RSTART) }

END { print_option() }
