// Package static holds the assets of the pages, embedded and served at content-hashed addresses.
package static

import "net/http"

// Handler serves the assets below the path it is mounted at.
func Handler() http.Handler { panic("stub") }
