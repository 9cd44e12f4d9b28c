# Reads the output of `go test -v` and shows a line a package, all of a failing package, and at the end every skip
# with its reason. With ci=true a skip makes it exit 1.

function forget() { delete text; delete reason; delete said; lines = 0; test = "" }

function flush_package(package, failed,    i, name) {
	if (failed) for (i = 1; i <= lines; i++) print text[i]
	for (name in reason) skips[++skipped] = package " " name ": " (reason[name] != "" ? reason[name] : said[name])
	forget()
}

/^=== (RUN|PAUSE|CONT|NAME) / { test = $3; next }
/^ *--- PASS: /               { if (/^---/) passed++; next }
/^ *--- SKIP: /               { if (!($3 in reason)) reason[$3] = "" }
/^--- FAIL: /                 { failures++ }
/^SKIPPED: /                  { name = $2; sub(/:$/, "", name); sub(/^SKIPPED: [^ ]+ */, ""); reason[name] = $0 }
/^(ok|FAIL|\?) *\t/           { package = $2; flush_package(package, /^FAIL/); print; fflush(); next }
/^(PASS|FAIL)$/               { next }
                              { text[++lines] = $0 }
/^    .*\.go:[0-9]+: /        { line = $0; sub(/^ *[^ ]+ /, "", line); said[test] = line }

END {
	for (i = 1; i <= lines; i++) print text[i]
	if (skipped) print ""
	for (i = 1; i <= skipped; i++) print "SKIPPED: " skips[i]
	printf "\n%d passed, %d failed, %d skipped\n", passed, failures, skipped
	if (skipped && ci == "true") { print "skips count as failures where CI=true"; exit 1 }
}
