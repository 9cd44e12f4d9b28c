package handlers

import (
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"whalefall/models"
	"whalefall/views"
)

// kind is what the contract says about a code.
type kind struct {
	status             int
	category, severity string
}

// kinds is the error table of the contract. A code that is missing here is an internal error.
var kinds = map[models.Code]kind{
	models.CodeInvalid:            {http.StatusBadRequest, "validation", "low"},
	models.CodeEmptyRequest:       {http.StatusBadRequest, "validation", "low"},
	models.CodePasswordMismatch:   {http.StatusBadRequest, "validation", "low"},
	models.CodePasswordDuplicated: {http.StatusBadRequest, "validation", "low"},
	models.CodePasswordInvalid:    {http.StatusBadRequest, "validation", "low"},
	models.CodeTooLarge:           {http.StatusRequestEntityTooLarge, "validation", "low"},
	models.CodeUnsupportedMedia:   {http.StatusUnsupportedMediaType, "validation", "low"},
	models.CodeUnauthenticated:    {http.StatusUnauthorized, "authentication", "medium"},
	models.CodeInvalidCredentials: {http.StatusUnauthorized, "authentication", "medium"},
	models.CodeInvalidOldPassword: {http.StatusUnauthorized, "authentication", "medium"},
	models.CodeAccountDisabled:    {http.StatusForbidden, "authorization", "medium"},
	models.CodeForbidden:          {http.StatusForbidden, "authorization", "medium"},
	models.CodePasswordChange:     {http.StatusForbidden, "authorization", "medium"},
	models.CodeCSRFMissing:        {http.StatusForbidden, "security", "medium"},
	models.CodeCSRFInvalid:        {http.StatusForbidden, "security", "medium"},
	models.CodeNotFound:           {http.StatusNotFound, "business", "low"},
	models.CodeInvalidRequest:     {http.StatusNotFound, "business", "medium"},
	models.CodeMethodNotAllowed:   {http.StatusMethodNotAllowed, "business", "medium"},
	models.CodeConflict:           {http.StatusConflict, "business", "medium"},
	models.CodeUsernameExists:     {http.StatusConflict, "business", "medium"},
	models.CodeLastAdmin:          {http.StatusConflict, "business", "medium"},
	models.CodeTagInUse:           {http.StatusConflict, "business", "medium"},
	models.CodeUnreachable:        {http.StatusConflict, "external", "medium"},
	models.CodeCollection:         {http.StatusConflict, "external", "medium"},
	models.CodeRateLimited:        {http.StatusTooManyRequests, "security", "medium"},
	models.CodeBusy:               {http.StatusServiceUnavailable, "security", "medium"},
	models.CodeTimeout:            {http.StatusGatewayTimeout, "external", "medium"},
	models.CodeInternal:           {http.StatusInternalServerError, "system", "high"},
}

// problem is the error envelope of the contract.
type problem struct {
	Success     bool           `json:"success"`
	Error       bool           `json:"error"`
	ErrorID     string         `json:"error_id"`
	Category    string         `json:"category"`
	Severity    string         `json:"severity"`
	MessageCode models.Code    `json:"message_code"`
	Message     string         `json:"message"`
	Timestamp   string         `json:"timestamp"`
	Recoverable bool           `json:"recoverable"`
	Suggestions [2]string      `json:"suggestions"`
	Context     problemContext `json:"context"`
	Extra       map[string]any `json:"extra,omitempty"`
}

type problemContext struct {
	RequestID string `json:"request_id"`
	UserID    *int64 `json:"user_id"`
	URL       string `json:"url"`
	Method    string `json:"method"`

	// Only of TAG_IN_USE.
	TagID         *int64 `json:"tag_id,omitempty"`
	InstanceCount *int64 `json:"instance_count,omitempty"`
}

// fail writes all errors: the envelope for the API, a toast for an HTMX request, a page otherwise.
func (h *handlers) fail(err error, c echo.Context) {
	e := classify(err)
	k := kinds[e.Code]
	id := newID()
	noteFailure(c, e, k, id)
	if c.Response().Committed {
		return
	}
	retryHeaders(c, e)
	if writeErr := h.writeFailure(c, e, k, id); writeErr != nil {
		h.Log.ErrorContext(c.Request().Context(), "error answer not written", "error", writeErr, "error_id", id)
	}
}

func (h *handlers) writeFailure(c echo.Context, e *models.Error, k kind, id string) error {
	switch {
	case isAPI(c):
		return c.JSON(k.status, h.problem(c, e, k, id))
	case e.Code == models.CodeUnauthenticated:
		return h.redirectVia(c, "/login", k.status)
	case e.Code == models.CodePasswordChange:
		return h.redirectVia(c, "/account", k.status)
	}
	return h.failHTML(c, e, k, id)
}

// classify returns err as our own error. Errors of the framework are translated; any other is internal.
func classify(err error) *models.Error {
	var he *echo.HTTPError
	if !errors.As(err, &he) {
		e := models.AsError(err)
		if _, known := kinds[e.Code]; !known {
			return &models.Error{Code: models.CodeInternal, Err: err}
		}
		return e
	}
	codes := map[int]models.Code{
		http.StatusNotFound:              models.CodeInvalidRequest,
		http.StatusMethodNotAllowed:      models.CodeMethodNotAllowed,
		http.StatusRequestEntityTooLarge: models.CodeTooLarge,
		http.StatusUnsupportedMediaType:  models.CodeUnsupportedMedia,
		http.StatusBadRequest:            models.CodeInvalid,
	}
	code, known := codes[he.Code]
	if !known {
		code = models.CodeInternal
	}
	return &models.Error{Code: code, Err: err}
}

func (h *handlers) problem(c echo.Context, e *models.Error, k kind, id string) problem {
	l := lang(c)
	code := e.Code
	if code == models.CodeMethodNotAllowed {
		code = models.CodeInvalidRequest
	}
	where := problemContext{
		RequestID: requestIDOf(c), UserID: userID(c), URL: c.Request().URL.Path, Method: c.Request().Method,
	}
	where.addTag(e)
	return problem{
		Error: true, ErrorID: id, Category: k.category, Severity: k.severity, MessageCode: code,
		Message: views.Failed(l, e), Timestamp: timestamp(h.now()), Recoverable: k.severity != "high",
		Suggestions: suggestions(l, k.category), Context: where, Extra: readerOf(c).members(e),
	}
}

// addTag adds the tag that is in use, for clients that look for it in the context.
func (p *problemContext) addTag(e *models.Error) {
	if e.Code != models.CodeTagInUse {
		return
	}
	id, _ := e.Extra["tag_id"].(int64)
	count, _ := e.Extra["instance_count"].(int64)
	p.TagID, p.InstanceCount = &id, &count
}

// reader is somebody whom an error is explained to.
type reader struct {
	lang    string
	manages bool // may change instances, and so may know what their servers said
}

func readerOf(c echo.Context) reader {
	user := currentUser(c)
	return reader{lang: lang(c), manages: user != nil && user.Role.May(models.PermUpdate)}
}

// members returns the members of the error's extra, with advice on its reason.
func (r reader) members(e *models.Error) map[string]any {
	members := e.Members()
	if e.Reason != "" {
		members["advice"] = views.Advice(r.lang, e)
	}
	if e.ServerText != "" && r.manages {
		members["server_text"] = e.ServerText
	}
	return members
}

func suggestions(lang, category string) [2]string {
	return [2]string{
		views.Message(lang, "suggest."+category+".1", nil),
		views.Message(lang, "suggest."+category+".2", nil),
	}
}

func userID(c echo.Context) *int64 {
	if u := currentUser(c); u != nil {
		return &u.ID
	}
	return nil
}
