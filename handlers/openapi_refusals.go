package handlers

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"whalefall/models"
	"whalefall/views"
)

// sharedStatus is a status of errors with what every operation that can end so says in it.
type sharedStatus struct {
	status      int
	name, about string
	refusals    []*models.Error
	headers     []string
}

var sharedStatuses = []sharedStatus{
	{http.StatusBadRequest, "BadRequest", "What was sent cannot be right.", writeRefusals[:2], nil},
	{http.StatusUnauthorized, "Unauthorized", "Nobody is logged in, or the token is wrong, expired or deleted.", []*models.Error{unauthenticated}, []string{"WWW-Authenticate"}},
	{http.StatusForbidden, "Forbidden", "The role does not permit it, or the CSRF token is missing or wrong.", csrfRefusals, nil},
	{http.StatusNotFound, "NotFound", "There is no such thing.", []*models.Error{{Code: models.CodeNotFound}}, nil},
	{http.StatusMethodNotAllowed, "MethodNotAllowed", "The path does not have this method.", []*models.Error{{Code: models.CodeMethodNotAllowed}}, []string{"Allow"}},
	{http.StatusConflict, "Conflict", "It cannot be done as things are.", nil, nil},
	{http.StatusRequestEntityTooLarge, "TooLarge", "The body is larger than 1 MiB.", writeRefusals[2:3], nil},
	{http.StatusUnsupportedMediaType, "UnsupportedMediaType", "The body is of another type than the operation reads.", writeRefusals[3:4], nil},
	{
		http.StatusTooManyRequests, "TooManyRequests", "The budget of this token or address is used up.",
		[]*models.Error{{Code: models.CodeRateLimited, Extra: map[string]any{"limit": 600, "remaining": 0, "reset": 1782966601, "retry_after": 1}}},
		[]string{"Retry-After", "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"},
	},
	{http.StatusInternalServerError, "InternalError", "Our fault. The error id is in the log.", []*models.Error{{Code: models.CodeInternal}}, nil},
	{http.StatusGatewayTimeout, "Timeout", "The monitored server is too slow.", []*models.Error{{Code: models.CodeTimeout}}, nil},
}

var (
	unauthenticated = &models.Error{Code: models.CodeUnauthenticated}
	csrfRefusals    = []*models.Error{{Code: models.CodeCSRFMissing}, {Code: models.CodeCSRFInvalid}}
	writeRefusals   = []*models.Error{
		models.Invalid("body.not_json"), models.Invalid("body.not_object"),
		{Code: models.CodeTooLarge},
		{Code: models.CodeUnsupportedMedia},
	}
	uploadRefusals = []*models.Error{
		models.Invalid("import.no_file"), {Code: models.CodeTooLarge}, {Code: models.CodeUnsupportedMedia, Key: "body.not_upload"},
	}
)

// refusals are all errors with which the operation can end.
func (o operation) refusals() []*models.Error {
	out := slices.Clone(o.fails)
	if o.upload {
		out = append(out, uploadRefusals...)
	} else if o.write() {
		out = append(out, writeRefusals...)
	}
	if !slices.Contains(open, "/api/v1"+o.path) {
		out = append(out, unauthenticated)
	}
	if slices.Contains(models.Permissions, o.perm) && slices.ContainsFunc(models.Roles, func(r models.Role) bool { return !r.May(o.perm) }) {
		out = append(out, forbidden(o.perm))
	}
	if o.write() {
		out = append(out, csrfRefusals...)
	}
	if o.missing != "" {
		out = append(out, models.NotFound(o.missing))
	}
	return append(out, &models.Error{Code: models.CodeRateLimited}, &models.Error{Code: models.CodeInternal})
}

// sharedResponses are the answers that many operations refer to.
func (d *document) sharedResponses() object {
	var out object
	for _, s := range sharedStatuses {
		if len(s.refusals) > 0 {
			out = out.with(s.name, d.response(s, s.refusals))
		}
	}
	return out
}

// refusal is how an operation ends with the status: as many others do, or in ways of its own.
func (d *document) refusal(s sharedStatus, refusals []*models.Error) object {
	if slices.EqualFunc(refusals, s.refusals, func(a, b *models.Error) bool { return saying(a) == saying(b) }) {
		return dict("$ref", "#/components/responses/"+s.name)
	}
	return d.response(s, refusals)
}

func saying(e *models.Error) string { return string(e.Code) + " " + views.Failed(views.Chinese, e) }

// response lists the refusals by code and message, each with an example.
func (d *document) response(s sharedStatus, refusals []*models.Error) object {
	about, examples := s.about+"\n", object{}
	for _, e := range refusals {
		p := problemExample(e)
		about += "\n- `" + string(p.MessageCode) + "` " + p.Message
		examples = examples.with(d.example(e, p))
	}
	content := dict("schema", dict("$ref", "#/components/schemas/Error"), "examples", examples)
	return dict("description", about, "headers", headers(append([]string{"X-Request-ID"}, s.headers...)...), "content", dict(echoJSON, content))
}

// example names the refusal and refers to it.
func (d *document) example(e *models.Error, p problem) (name string, reference object) {
	base := strings.TrimSuffix(string(p.MessageCode)+"."+e.Key, ".")
	name = base
	for n := 2; d.seen[name] != "" && d.seen[name] != p.Message; n++ {
		name = base + "." + strconv.Itoa(n)
	}
	if d.seen[name] == "" {
		d.seen[name] = p.Message
		d.examples = d.examples.with(name, dict("summary", p.Message, "value", p))
	}
	return name, dict("$ref", "#/components/examples/"+name)
}

func problemExample(e *models.Error) problem {
	k := kinds[e.Code]
	code := e.Code
	if code == models.CodeMethodNotAllowed {
		code = models.CodeInvalidRequest
	}
	user := int64(1)
	return problem{
		Error: true, ErrorID: "5b6f4a0c9d3e4f1f8a7b6c5d4e3f2a1b", Category: k.category, Severity: k.severity, MessageCode: code,
		Message: views.Failed(views.Chinese, e), Timestamp: documentTime, Recoverable: k.severity != "high",
		Suggestions: suggestions(views.Chinese, k.category), Extra: explained(views.Chinese, e.Extra),
		Context: problemContext{RequestID: "0f1e2d3c4b5a69788796a5b4c3d2e1f0", UserID: &user, URL: "/api/v1/…", Method: http.MethodPost},
	}
}

// extraJSON is what the member extra of an error may hold.
type extraJSON struct {
	InstanceID    *int64                 `json:"instance_id,omitempty"`
	DatabaseName  string                 `json:"database_name,omitempty"`
	Reason        string                 `json:"reason,omitempty"`
	Advice        string                 `json:"advice,omitempty"`
	Grant         string                 `json:"grant,omitempty"`
	SQLState      string                 `json:"sqlstate,omitempty"`
	ErrorNumber   *int64                 `json:"error_number,omitempty"`
	SQLiteCode    *int64                 `json:"sqlite_code,omitempty"`
	Instances     []models.CredentialUse `json:"instances,omitempty"`
	InstanceCount *int64                 `json:"instance_count,omitempty"`
	RefreshID     *int64                 `json:"refresh_id,omitempty"`
	Limit         *int64                 `json:"limit,omitempty"`
	Remaining     *int64                 `json:"remaining,omitempty"`
	Reset         *int64                 `json:"reset,omitempty"`
	RetryAfter    *int64                 `json:"retry_after,omitempty"`
}
