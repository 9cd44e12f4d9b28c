// Command notice prints the licenses of everything that the binary contains: the modules that it links on every
// platform, the Go library, and the vendored assets. Run it in tools by `task generate`.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// platforms are those whose binaries link different modules.
var platforms = []string{"linux", "darwin", "windows"}

const rule = "--------------------------------------------------------------------------------"

func main() {
	if err := write(os.Stdout, ".."); err != nil {
		log.Fatal(err)
	}
}

// write prints the notice of the module in a directory.
func write(w io.Writer, root string) error {
	folders, err := linked(root)
	if err != nil {
		return err
	}
	goroot, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return err
	}
	folders["Go standard library"] = strings.TrimSpace(string(goroot))
	assets, err := filepath.Glob(filepath.Join(root, "static", "vendor", "*"))
	if err != nil {
		return err
	}
	for _, folder := range assets {
		folders[filepath.Base(folder)] = folder
	}

	covered := map[string][]string{}
	for _, name := range slices.Sorted(maps.Keys(folders)) {
		text, err := licenses(folders[name])
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		covered[text] = append(covered[text], name)
	}

	fmt.Fprintln(w, "WhaleFall contains the following software under the following licenses.")
	for _, text := range slices.SortedFunc(maps.Keys(covered), func(a, b string) int {
		return slices.Compare(covered[a], covered[b])
	}) {
		fmt.Fprintf(w, "\n%s\n%s\n%s\n\n%s\n", rule, strings.Join(covered[text], "\n"), rule, text)
	}
	return nil
}

// linked returns the directories of the modules that the binary links, by path and version.
func linked(root string) (map[string]string, error) {
	const format = "{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}}\t{{.Dir}}{{end}}{{end}}"
	folders := map[string]string{}
	for _, platform := range platforms {
		list := exec.Command("go", "list", "-deps", "-f", format, ".")
		list.Dir, list.Stderr = root, os.Stderr
		list.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+platform)
		out, err := list.Output()
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(string(out)) {
			if name, folder, found := strings.Cut(strings.TrimSpace(line), "\t"); found {
				folders[name] = folder
			}
		}
	}
	return folders, nil
}

// legal matches the files of a module that its license wants to be passed on.
var legal = regexp.MustCompile(`(?i)^(licen[cs]e|copying|notice)`)

// licenses returns them as one text. A directory without any is an error.
func licenses(folder string) (string, error) {
	files, err := os.ReadDir(folder)
	if err != nil {
		return "", err
	}
	var texts []string
	for _, file := range files {
		if file.IsDir() || !legal.MatchString(file.Name()) {
			continue
		}
		text, err := os.ReadFile(filepath.Join(folder, file.Name()))
		if err != nil {
			return "", err
		}
		text = bytes.TrimSpace(bytes.TrimPrefix(bytes.ReplaceAll(text, []byte("\r"), nil), []byte("\ufeff")))
		texts = append(texts, string(text))
	}
	if len(texts) == 0 {
		return "", errors.New("no license")
	}
	return strings.Join(texts, "\n\n"), nil
}
