package handlers

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"whalefall/models"
)

// fields is a request body: the members of a JSON object or the values of a form.
type fields map[string]any

const bodyKey = "body"

// bindBody reads the body of a write. An invalid body is an error even if the handler ignores it.
func bindBody(c echo.Context) error {
	if isRead(c.Request().Method) {
		return nil
	}
	f, err := readFields(c)
	if err == nil {
		c.Set(bodyKey, f)
	}
	return err
}

// body returns the body of the write, empty if there is none.
func body(c echo.Context) fields {
	f, _ := c.Get(bodyKey).(fields)
	return f
}

// readFields reads the body. A missing one is an empty object. Media types other than JSON, and forms on pages, are a
// 415.
func readFields(c echo.Context) (fields, error) {
	r := c.Request()
	if r.ContentLength > maxBody {
		return nil, &models.Error{Code: models.CodeTooLarge}
	}
	media, _, err := mime.ParseMediaType(r.Header.Get(echo.HeaderContentType))
	if !isAPI(c) && (media == echo.MIMEApplicationForm || media == echo.MIMEMultipartForm) {
		return bindForm(c)
	}
	content := bufio.NewReader(r.Body)
	// A form has already been read if the CSRF check looked for the token in it.
	if _, end := content.Peek(1); errors.Is(end, io.EOF) && len(r.PostForm) == 0 {
		return fields{}, nil
	}
	if err != nil || media != echo.MIMEApplicationJSON {
		return nil, &models.Error{Code: models.CodeUnsupportedMedia, Err: err}
	}
	return decodeJSON(content)
}

// requireUpload rejects a body that is too large or not a form with a file.
func requireUpload(c echo.Context) error {
	r := c.Request()
	if r.ContentLength > maxBody {
		return &models.Error{Code: models.CodeTooLarge}
	}
	media, _, err := mime.ParseMediaType(r.Header.Get(echo.HeaderContentType))
	switch {
	case media == echo.MIMEMultipartForm:
		return nil
	case media == echo.MIMEApplicationJSON || r.ContentLength == 0:
		return models.Invalid("import.no_file")
	}
	return &models.Error{Code: models.CodeUnsupportedMedia, Key: "body.not_upload", Err: err}
}

func decodeJSON(body io.Reader) (fields, error) {
	raw, err := io.ReadAll(body)
	if err != nil {
		return nil, bodyUnread(err)
	}
	if len(raw) == 0 {
		return fields{}, nil
	}
	if !utf8.Valid(raw) || hasLoneSurrogate(raw) {
		return nil, models.Invalid("body.not_json")
	}
	decoder := json.NewDecoder(strings.NewReader(string(raw)))
	decoder.UseNumber()
	var out fields
	err = decoder.Decode(&out)
	if _, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return nil, &models.Error{Code: models.CodeInvalid, Key: "body.not_object", Err: err}
	}
	if _, end := decoder.Token(); err != nil || end != io.EOF {
		return nil, &models.Error{Code: models.CodeInvalid, Key: "body.not_json", Err: err}
	}
	if out == nil {
		return fields{}, nil // scripts send null for no body
	}
	return out, nil
}

// escape matches an escape sequence of JSON. Its group is a surrogate without its other half.
var escape = regexp.MustCompile(
	`(?s)\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)`,
)

// hasLoneSurrogate reports whether a JSON text contains half a surrogate pair. The decoder would replace it, and so
// change a password.
func hasLoneSurrogate(raw []byte) bool {
	for _, found := range escape.FindAllSubmatchIndex(raw, -1) {
		if found[2] >= 0 {
			return true
		}
	}
	return false
}

// bodyUnread returns the error for a body that could not be read: too large, or the client is gone.
func bodyUnread(err error) *models.Error {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return &models.Error{Code: models.CodeTooLarge, Err: err}
	}
	return &models.Error{Code: models.CodeInvalid, Err: err}
}

func bindForm(c echo.Context) (fields, error) {
	values, err := c.FormParams()
	if err != nil {
		return nil, &models.Error{Code: models.CodeInvalid, Key: "body.not_form", Err: err}
	}
	out := fields{}
	for name, v := range values {
		switch {
		case name == csrfField:
		case len(v) == 1:
			out[name] = v[0]
		default:
			list := make([]any, len(v))
			for i := range v {
				list[i] = v[i]
			}
			out[name] = list
		}
	}
	return out, nil
}

// limitBody ends the body after maxBody bytes, wherever it is read.
func limitBody(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		r.Body = http.MaxBytesReader(c.Response(), r.Body, maxBody)
		return next(c)
	}
}

// peekFields reads the body before the checks and puts it back. It returns nothing for an invalid body, which the
// handler reports later.
func peekFields(c echo.Context) fields {
	r := c.Request()
	raw, err := io.ReadAll(r.Body)
	r.Body = io.NopCloser(io.MultiReader(bytes.NewReader(raw), &failingReader{err}))
	if err != nil {
		return nil
	}
	if strings.HasPrefix(r.Header.Get(echo.HeaderContentType), echo.MIMEApplicationForm) {
		values, _ := url.ParseQuery(string(raw))
		return fields{"username": values.Get("username")}
	}
	f, _ := decodeJSON(bytes.NewReader(raw))
	return f
}

// failingReader repeats the error that ended a body.
type failingReader struct{ err error }

func (r *failingReader) Read([]byte) (int, error) {
	if r.err == nil {
		return 0, io.EOF
	}
	return 0, r.err
}
