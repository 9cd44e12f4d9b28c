package handlers

import (
	"net/http"
	"slices"
	"time"

	"whalefall/handlers/openapi"
	"whalefall/models"
	"whalefall/views"
)

// failureStatus describes an HTTP status of failures, with the failures of the response that operations share.
type failureStatus struct {
	status      int
	name, about string
	refusals    []*models.Error // empty: each operation has its own
	headers     []string
}

// failureStatuses lists the statuses in the order in which operations list them.
var failureStatuses = []failureStatus{
	{http.StatusBadRequest, "BadRequest", "The request is not valid.", writeRefusals[:2], nil},
	{
		http.StatusUnauthorized, "Unauthorized", "Nobody is logged in, or the token is wrong, expired or deleted.",
		[]*models.Error{unauthenticated},
		[]string{"WWW-Authenticate"},
	},
	{
		http.StatusForbidden, "Forbidden",
		"The role does not permit it, the password must be changed first, or the CSRF token is missing or wrong.",
		append([]*models.Error{unchanged}, csrfRefusals...), nil,
	},
	{http.StatusNotFound, "NotFound", "Not found.", []*models.Error{{Code: models.CodeNotFound}}, nil},
	{
		http.StatusMethodNotAllowed, "MethodNotAllowed", "The path does not support this method.",
		[]*models.Error{{Code: models.CodeMethodNotAllowed}},
		[]string{"Allow"},
	},
	{http.StatusConflict, "Conflict", "Not possible in the current state.", nil, nil},
	{http.StatusRequestEntityTooLarge, "TooLarge", "The body is larger than 1 MiB.", writeRefusals[2:3], nil},
	{
		http.StatusUnsupportedMediaType, "UnsupportedMediaType", "The body is of another type than the operation reads.",
		writeRefusals[3:4], nil,
	},
	{
		http.StatusTooManyRequests, "TooManyRequests", "The budget of this token or address is used up.",
		[]*models.Error{
			{
				Code:       models.CodeRateLimited,
				RetryAfter: time.Second,
				Extra:      map[string]any{"limit": 600, "remaining": 0, "reset": 1782966601},
			},
		},
		[]string{"Retry-After", "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"},
	},
	{
		http.StatusInternalServerError, "InternalError", "An error inside WhaleFall. Its error ID is in the WhaleFall log.",
		[]*models.Error{{Code: models.CodeInternal}},
		nil,
	},
	{
		http.StatusServiceUnavailable, "Busy", "Too many logins are waiting for their turn.",
		[]*models.Error{busy},
		[]string{"Retry-After"},
	},
	{
		http.StatusGatewayTimeout, "Timeout", "The monitored server did not answer in time.",
		[]*models.Error{{Code: models.CodeTimeout}},
		nil,
	},
}

var (
	busy            = &models.Error{Code: models.CodeBusy, RetryAfter: time.Second}
	unauthenticated = &models.Error{Code: models.CodeUnauthenticated}
	unchanged       = &models.Error{Code: models.CodePasswordChange}
	csrfRefusals    = []*models.Error{{Code: models.CodeCSRFMissing}, {Code: models.CodeCSRFInvalid}}
	writeRefusals   = []*models.Error{
		models.Invalid("body.not_json"), models.Invalid("body.not_object"),
		{Code: models.CodeTooLarge},
		{Code: models.CodeUnsupportedMedia},
	}
	uploadRefusals = []*models.Error{
		models.Invalid("import.no_file"),
		{Code: models.CodeTooLarge},
		{Code: models.CodeUnsupportedMedia, Key: "body.not_upload"},
	}
)

// refusals returns all errors that the operation can answer: its own, then those of every route of its kind.
func (o operation) refusals() []*models.Error {
	out := slices.Clone(o.fails)
	if o.upload {
		out = append(out, uploadRefusals...)
	} else if o.write() {
		out = append(out, writeRefusals...)
	}
	if !slices.Contains(openPaths, "/api/v1"+o.path) {
		out = append(out, unauthenticated)
	}
	if o.ownPassword {
		out = append(out, unchanged)
	}
	if slices.Contains(models.Permissions, o.perm) &&
		slices.ContainsFunc(models.Roles, func(r models.Role) bool { return !r.May(o.perm) }) {
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

// describeFailures returns the errors as the document lists them, with an example of each answer.
func describeFailures(errs []*models.Error) []openapi.Failure {
	var out []openapi.Failure
	for _, e := range errs {
		p := problemExample(e)
		out = append(out, openapi.Failure{
			Status: kinds[e.Code].status, Code: string(p.MessageCode), Key: e.Key, Message: p.Message, Sample: p,
		})
	}
	return out
}

// problemExample returns the answer to the error, with made-up ids.
func problemExample(e *models.Error) problem {
	k := kinds[e.Code]
	code := e.Code
	if code == models.CodeMethodNotAllowed {
		code = models.CodeInvalidRequest
	}
	user := int64(1)
	where := problemContext{
		RequestID: "0f1e2d3c4b5a69788796a5b4c3d2e1f0", UserID: &user, URL: "/api/v1/…", Method: http.MethodPost,
	}
	where.addTag(e)
	return problem{
		Error:       true,
		ErrorID:     "5b6f4a0c9d3e4f1f8a7b6c5d4e3f2a1b",
		Category:    k.category,
		Severity:    k.severity,
		MessageCode: code,
		Message:     views.Failed(views.Chinese, e),
		Timestamp:   documentTime,
		Recoverable: k.severity != "high",
		Suggestions: suggestions(views.Chinese, k.category),
		Extra:       reader{lang: views.Chinese, manages: true}.members(e),
		Context:     where,
	}
}

// extraJSON lists the members that extra of an error may have.
type extraJSON struct {
	InstanceID    *int64                 `json:"instance_id,omitempty"`
	DatabaseName  string                 `json:"database_name,omitempty"`
	Reason        string                 `json:"reason,omitempty"`
	Advice        string                 `json:"advice,omitempty"`
	Grant         string                 `json:"grant,omitempty"`
	ServerText    string                 `json:"server_text,omitempty"`
	TLSCheck      string                 `json:"tls_check,omitempty"`
	SQLState      string                 `json:"sqlstate,omitempty"`
	ErrorNumber   *int64                 `json:"error_number,omitempty"`
	SQLiteCode    *int64                 `json:"sqlite_code,omitempty"`
	Instances     []models.CredentialUse `json:"instances,omitempty"`
	InstanceCount *int64                 `json:"instance_count,omitempty"`
	TagID         *int64                 `json:"tag_id,omitempty"`
	RefreshID     *int64                 `json:"refresh_id,omitempty"`
	Limit         *int64                 `json:"limit,omitempty"`
	Remaining     *int64                 `json:"remaining,omitempty"`
	Reset         *int64                 `json:"reset,omitempty"`
	RetryAfter    *int64                 `json:"retry_after,omitempty"`
}
