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
	"sync"
	"time"
)

//go:embed app.css app.js apidocs.css apidocs.js favicon.svg vendor
var files embed.FS

// Addresses of the vendored assets, as given to URL.
const (
	HTMX      = "vendor/htmx.org-2.0.11/htmx.min.js"
	Normalize = "vendor/modern-normalize-3.0.1/modern-normalize.css"
	SwaggerUI = "vendor/swagger-ui-dist-5.35.0/swagger-ui" // with .css and -bundle.js
)

// hashLength is how many hex digits of the content's SHA-256 an address contains.
const hashLength = 8

type asset struct {
	name    string // address below /static/, with the hash
	content []byte
}

// loaded returns the assets by their plain names, and the plain names by the hashed ones. Commands without pages do not
// load them.
var loaded = sync.OnceValues(load)

func load() (assets map[string]asset, names map[string]string) {
	contents, err := readFiles()
	if err != nil {
		panic(err)
	}
	contents[Icons] = iconRules(contents)

	byName, byAddress := map[string]asset{}, map[string]string{}
	for name, content := range contents {
		hashed := hashedName(name, content)
		byName[name] = asset{hashed, content}
		byAddress[hashed] = name
	}
	return byName, byAddress
}

// readFiles returns the contents of the embedded files by name.
func readFiles() (map[string][]byte, error) {
	contents := map[string][]byte{}
	err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		contents[name], err = files.ReadFile(name)
		return err
	})
	return contents, err
}

// hashedName inserts the hash of the content into the name: "app.0123abcd.css".
func hashedName(name string, content []byte) string {
	sum := sha256.Sum256(content)
	extension := path.Ext(name)
	return strings.TrimSuffix(name, extension) + "." + hex.EncodeToString(sum[:])[:hashLength] + extension
}

// URL returns the content-hashed address of an asset such as "app.css". It panics on an unknown name.
func URL(name string) string {
	assets, _ := loaded()
	a, ok := assets[name]
	if !ok {
		panic("static: no asset " + name)
	}
	return "/static/" + a.name
}

// types maps extensions to content types, independent of the machine's own table.
var types = map[string]string{
	".css": "text/css; charset=utf-8",
	".js":  "text/javascript; charset=utf-8",
	".svg": "image/svg+xml",
}

// Handler serves the assets below the path it is mounted at. Browsers keep a hashed address for a year and revalidate a
// plain one on each use.
func Handler() http.Handler {
	assets, names := loaded()
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
