package collectors

import (
	"embed"
	"path"
	"strings"
)

// Statements returns the text of the files in the folder sql of an engine, by their names without ".sql". It panics
// if the folder is not embedded.
func Statements(files embed.FS) map[string]string {
	entries, err := files.ReadDir("sql")
	if err != nil {
		panic(err)
	}

	statements := make(map[string]string, len(entries))
	for _, entry := range entries {
		text, err := files.ReadFile(path.Join("sql", entry.Name()))
		if err != nil {
			panic(err)
		}
		statements[strings.TrimSuffix(entry.Name(), ".sql")] = string(text)
	}
	return statements
}
