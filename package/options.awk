# Makes the section OPTIONS of mosquitto-chat.conf(5), in man(7), of config/mosquitto.conf, where each option stands as
#
#   # plugin_opt_NAME SYNTAX, default WHAT      one or more such lines; or ", required ...", or SYNTAX alone below another
#   #   text                                    one or more lines, three blanks in
#   # --- heading ---                           begins a subsection; the first one, the options
#
# Fails, naming the line, where an option's line has no syntax, the first of an entry neither default nor "required",
# or an entry no text; and where a line that sets an option has no entry.

function wrong(what, line) {
	print FILENAME ":" (line ? line : FNR) ": " what > "/dev/stderr"
	failed = 1
}

# In roff: no line begins with a command, no backslash with an escape, `code` stands in bold.
function roff(s,    parts, n, i, out) {
	gsub(/\\/, "\\e", s)
	gsub(/-/, "\\-", s)
	n = split(s, parts, "`")
	out = parts[1]
	for (i = 2; i <= n; i++) {
		code = !code
		out = out (code ? "\\fB" : "\\fR") parts[i]
	}
	return out
}

function text(s) {
	s = roff(s)
	if (s ~ /^[.']/)
		s = "\\&" s
	return s
}

# Ends the entry under way.
function finish() {
	if (in_entry && !has_text)
		wrong("no text says what " first " is", entry_line)
	if (code)
		wrong("a ` has no second one in the text of " first, entry_line)
	in_entry = has_text = code = 0
}

/^# --- .* -+$/ {
	finish()
	heading = $0
	sub(/^# --- /, "", heading)
	sub(/ -+$/, "", heading)
	options = 1 # what comes before is about the broker
	print ".SS " toupper(substr(heading, 1, 1)) substr(heading, 2)
	next
}

options && /^# plugin_opt_[a-z_]+/ {
	if (in_entry && has_text)
		finish()
	name = $2
	syntax = $0
	sub(/^# plugin_opt_[a-z_]+ */, "", syntax)
	if (syntax == "")
		wrong(name " has no syntax")
	if (name in entries)
		wrong(name " stands here twice")
	entries[name] = FNR
	if (!in_entry) {
		if (syntax != "" && syntax !~ /, (default|required)/)
			wrong(name " has no default")
		first = name
		entry_line = FNR
		values = syntax
		sub(/, .*/, "", values)
		values = " " values " "
		print ".TP"
	} else {
		print ".TQ"
	}
	in_entry = 1
	has_text = 0
	print ".B " roff(name) "\\fR " roff(syntax)
	next
}

/^#   / && in_entry {
	has_text = 1
	line = $0
	sub(/^#   +/, "", line)
	if (match(line, /^[a-z_]+: /) && index(values, " " substr(line, 1, RLENGTH - 2) " ")) # the meaning of a value
		print ".br"
	print text(line)
	next
}

/^#?plugin_opt_[a-z_]+/ {
	name = $1
	sub(/^#/, "", name)
	set[name] = FNR
}

{ finish() }

END {
	finish()
	for (name in set)
		if (!(name in entries))
			wrong(name " is set and not described", set[name])
	exit failed
}
