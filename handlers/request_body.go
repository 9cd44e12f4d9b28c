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
	"strconv"
	"strings"
	"unicode/utf16"
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

// hasLoneSurrogate reports whether a JSON text contains half a surrogate pair. The decoder would replace it, and so
// change a password.
func hasLoneSurrogate(raw []byte) bool {
	for {
		at := bytes.IndexByte(raw, '\\')
		if at < 0 {
			return false
		}
		raw = raw[at:]
		unit, isUnit := escapedUnit(raw)
		switch low, _ := escapedUnit(raw[min(len(raw), escapeLength):]); {
		case !isUnit:
			raw = raw[min(len(raw), len(`\n`)):]
		case !utf16.IsSurrogate(unit):
			raw = raw[escapeLength:]
		case utf16.DecodeRune(unit, low) == utf8.RuneError:
			return true
		default:
			raw = raw[2*escapeLength:]
		}
	}
}

const escapeLength = len(`\u0000`)

// escapedUnit returns the UTF-16 code unit of the escape sequence \uXXXX at the beginning of the text, if there is one.
func escapedUnit(text []byte) (unit rune, found bool) {
	if len(text) < escapeLength || !bytes.HasPrefix(text, []byte(`\u`)) {
		return 0, false
	}
	n, err := strconv.ParseUint(string(text[2:escapeLength]), 16, 16)
	return rune(n), err == nil
}

// bodyUnread returns the error for a body that could not be read: too large, or the client is gone.
func bodyUnread(err error) *models.Error {
	large, isLarge := errors.AsType[*http.MaxBytesError](err)
	switch {
	case !isLarge:
		return &models.Error{Code: models.CodeInvalid, Err: err}
	case large.Limit == maxLoginBody:
		return &models.Error{Code: models.CodeTooLarge, Key: "body.login_too_large", Err: err}
	}
	return &models.Error{Code: models.CodeTooLarge, Err: err}
}

func bindForm(c echo.Context) (fields, error) {
	if _, err := c.FormParams(); err != nil {
		e := bodyUnread(err)
		if e.Code == models.CodeInvalid {
			e.Key = "body.not_form"
		}
		return nil, e
	}
	out := fields{}
	for name, v := range c.Request().PostForm {
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

// posted returns a member of the form in the body, empty if the body has not been read: nothing is read before it is
// known who asks.
func posted(c echo.Context, name string) string { return c.Request().PostForm.Get(name) }

// limitBodies ends each body after maxBody bytes, wherever it is read.
func limitBodies(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		limitBody(c, maxBody)
		return next(c)
	}
}

func limitBody(c echo.Context, most int64) {
	r := c.Request()
	r.Body = http.MaxBytesReader(c.Response(), r.Body, most)
}

// limitReached returns the error of a body that was read up to its limit, and whether it was. It may take a byte of the
// body.
func limitReached(r *http.Request) (*http.MaxBytesError, bool) {
	_, err := r.Body.Read(make([]byte, 1))
	return errors.AsType[*http.MaxBytesError](err)
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
