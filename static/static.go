// Package static holds the assets of the pages, embedded and served at content-hashed addresses.
package static

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"
)

//go:embed app.css app.js apidocs.css apidocs.js favicon.svg vendor
var files embed.FS

// Addresses of the vendored assets, as given to URL.
const (
	HTMX      = "vendor/htmx.org-2.0.11/htmx.min.js"
	Normalize = "vendor/modern-normalize-3.0.1/modern-normalize.css"
	SwaggerUI = "vendor/swagger-ui-dist-5.35.0/swagger-ui" // with .css and -bundle.js
	icons     = "vendor/lucide-static-1.62.0/icons"
)

// hashLength is the number of hex digits of the content's SHA-256 in an address.
const hashLength = 8

type asset struct {
	name    string // address below /static/, with the hash
	content []byte
}

// assets are found by their plain name, names by their hashed address.
var assets, names = load()

func load() (map[string]asset, map[string]string) {
	byName, byAddress := map[string]asset{}, map[string]string{}
	err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := files.ReadFile(name)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(content)
		extension := path.Ext(name)
		hashed := strings.TrimSuffix(name, extension) + "." + hex.EncodeToString(sum[:])[:hashLength] + extension
		byName[name] = asset{hashed, content}
		byAddress[hashed] = name
		return nil
	})
	if err != nil {
		panic(err)
	}
	return byName, byAddress
}

// URL is the content-hashed address of an asset, "app.css" for example. An unknown name is a programming error.
func URL(name string) string {
	a, ok := assets[name]
	if !ok {
		panic("static: no asset " + name)
	}
	return "/static/" + a.name
}

// types of what is served, so that they do not depend on the machine's own table.
var types = map[string]string{
	".css": "text/css; charset=utf-8",
	".js":  "text/javascript; charset=utf-8",
	".svg": "image/svg+xml",
}

// Handler serves the assets below the path it is mounted at: for a year at hashed addresses, always
// asked for again at plain ones.
func Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		address := strings.TrimPrefix(r.URL.Path, "/")
		name, hashed := names[address]
		if !hashed {
			name = address
		}
		a, ok := assets[name]
		if !ok {
			http.NotFound(w, r)
			return
		}
		contentType, ok := types[path.Ext(name)]
		if !ok {
			contentType = "text/plain; charset=utf-8"
		}
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("Cache-Control", "no-cache")
		if hashed {
			w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
		}
		w.Header().Set("ETag", `"`+a.name+`"`)
		http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(a.content))
	})
}

// markups are the icons of the vendored set by name, hidden from screen readers.
var markups = func() map[string]string {
	all := map[string]string{}
	for name, a := range assets {
		if name, is := strings.CutPrefix(name, icons+"/"); is {
			_, markup, _ := strings.Cut(string(a.content), "-->")
			all[strings.TrimSuffix(name, ".svg")] = strings.Replace(strings.TrimSpace(markup), "<svg", `<svg aria-hidden="true" focusable="false"`, 1)
		}
	}
	return all
}()

// Icon is the markup of an icon of the vendored set, hidden from screen readers: a label stands beside
// it or on the element that holds it. An unknown name is a programming error.
func Icon(name string) string {
	markup, ok := markups[name]
	if !ok {
		panic("static: no icon " + name)
	}
	return markup
}
