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

// fields is a request body: the members of a JSON object, or the values of a form. Both doors bind from it.
type fields map[string]any

const bodyKey = "body"

// bindBody reads the body of a write, whether or not its handler wants one: what is sent must be right.
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

// body is what the body of this write says; empty when there is none.
func body(c echo.Context) fields {
	f, _ := c.Get(bodyKey).(fields)
	return f
}

// readFields reads the body. No body is an empty object; other content types than JSON, and forms outside the API, are 415.
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
	// A form in which the check of the form token found one has been read already.
	if _, end := content.Peek(1); errors.Is(end, io.EOF) && len(r.PostForm) == 0 {
		return fields{}, nil
	}
	if err != nil || media != echo.MIMEApplicationJSON {
		return nil, &models.Error{Code: models.CodeUnsupportedMedia, Err: err}
	}
	return decodeJSON(content)
}

// requireUpload refuses a body that is no form with files, or too large. What would be right elsewhere lacks the file.
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
	var notObject *json.UnmarshalTypeError
	if errors.As(err, &notObject) {
		return nil, &models.Error{Code: models.CodeInvalid, Key: "body.not_object", Err: err}
	}
	if _, end := decoder.Token(); err != nil || end != io.EOF {
		return nil, &models.Error{Code: models.CodeInvalid, Key: "body.not_json", Err: err}
	}
	if out == nil {
		return fields{}, nil // scripts send null where they mean no body
	}
	return out, nil
}

// escape is one of a JSON text; its group is half a character without the other half.
var escape = regexp.MustCompile(`(?s)\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)`)

// hasLoneSurrogate reports whether a JSON text has what is no character. The decoder would make another one of it, and
// thus another password of a password.
func hasLoneSurrogate(raw []byte) bool {
	for _, found := range escape.FindAllSubmatchIndex(raw, -1) {
		if found[2] >= 0 {
			return true
		}
	}
	return false
}

// bodyUnread says why a body could not be read to its end: it is too large, or the client went away.
func bodyUnread(err error) *models.Error {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
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

// limitBody ends a body after maxBody bytes, wherever it is read.
func limitBody(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		r.Body = http.MaxBytesReader(c.Response(), r.Body, maxBody)
		return next(c)
	}
}

// peekFields reads the body as far as a decision before the checks needs it, and puts it back. A body that
// cannot be read or understood has no fields here; the handler behind the checks says what is wrong with it.
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

// failingReader repeats the error with which a body ended.
type failingReader struct{ err error }

func (r *failingReader) Read([]byte) (int, error) {
	if r.err == nil {
		return 0, io.EOF
	}
	return 0, r.err
}
