package sqlserver

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	mssql "github.com/microsoft/go-mssqldb"

	"whalefall/collectors"
	"whalefall/models"
)

// Error numbers used in more than one place.
const (
	codeSelectDenied   = 229
	codeStateDenied    = 262
	codeNoPermission   = 297
	codeServerDenied   = 300
	codeNoDatabase     = 911
	codeNoEntry        = 916
	codeReadIntentOnly = 978
	codeNoReadIntent   = 979
	codeNoReadable     = 982
	codeCannotOpen     = 4060
	codeOpenedDefault  = 4063 // the login's default instead of the requested database
	codeNoDefault      = 4064 // neither the requested database nor the login's default
	codeLoginFailed    = 18456
	codeLockTimeout    = 1222
)

// Message keys used in more than one place.
const (
	keyDenied     = "collect.sqlserver.denied"
	keyNoAccess   = "collect.sqlserver.no_access"
	keySingleUser = "collect.sqlserver.single_user"
	keyOffline    = "collect.sqlserver.offline"
	keyRestoring  = "collect.sqlserver.restoring"
	keyRecovering = "collect.sqlserver.recovering"
	keySuspect    = "collect.sqlserver.suspect"
	keyEmergency  = "collect.sqlserver.emergency"
	keyTransition = "collect.sqlserver.transition"
	keySecondary  = "collect.sqlserver.secondary"
	keyReplica    = "collect.sqlserver.replica"
	keySnapshot   = "collect.sqlserver.snapshot"
)

// meaning is how an error number is reported to the user. One with a reason means that there is no connection.
type meaning struct {
	key    string
	reason string
}

var meanings = map[int32]meaning{
	codeLoginFailed: {reason: collectors.ReasonLogin}, // wrong user or password
	18450:           {reason: collectors.ReasonLogin}, // the login is not associated with a trusted connection
	18452:           {reason: collectors.ReasonLogin}, // the login is from an untrusted domain
	18470:           {reason: collectors.ReasonLogin}, // the account is disabled
	18486:           {reason: collectors.ReasonLogin}, // the account is locked
	18487:           {reason: collectors.ReasonLogin}, // the password has expired
	18488:           {reason: collectors.ReasonLogin}, // the password must be changed
	40532:           {reason: collectors.ReasonLogin}, // Azure: the login names no existing server
	40615:           {reason: collectors.ReasonLogin}, // Azure: the firewall does not allow this address
	40914:           {reason: collectors.ReasonLogin}, // Azure: the firewall does not allow this network
	47073:           {reason: collectors.ReasonLogin}, // Azure: public access is disabled

	10928: {reason: collectors.ReasonBusy}, // Azure: limit of requests or sessions reached
	10929: {reason: collectors.ReasonBusy}, // Azure: the same, above the guaranteed minimum
	10936: {reason: collectors.ReasonBusy}, // Azure: limit of the elastic pool reached
	17809: {reason: collectors.ReasonBusy}, // limit of user connections reached
	18461: {reason: collectors.ReasonBusy}, // single-user mode, and another administrator is connected
	40501: {reason: collectors.ReasonBusy}, // Azure: the service is busy
	49918: {reason: collectors.ReasonBusy}, // Azure: not enough resources for the request
	49919: {reason: collectors.ReasonBusy}, // Azure: too many operations
	49920: {reason: collectors.ReasonBusy}, // Azure: too many operations in the subscription

	6005:  {reason: collectors.ReasonStarting}, // the server is shutting down
	17142: {reason: collectors.ReasonStarting}, // the server is paused
	17187: {reason: collectors.ReasonStarting}, // the server is not ready yet
	18401: {reason: collectors.ReasonStarting}, // the server is being upgraded
	18451: {reason: collectors.ReasonStarting}, // only administrators may connect for now
	40197: {reason: collectors.ReasonStarting}, // Azure: the service is being upgraded or failed over
	40613: {reason: collectors.ReasonStarting}, // Azure: the database is temporarily unavailable

	codeSelectDenied:   {key: keyDenied},
	codeStateDenied:    {key: keyDenied},
	codeNoPermission:   {key: keyDenied},
	codeServerDenied:   {key: keyDenied},
	codeNoDatabase:     {key: collectors.KeyDatabaseGone},
	codeNoEntry:        {key: keyNoAccess},
	923:                {key: keySingleUser}, // restricted to owners and administrators
	924:                {key: keySingleUser},
	942:                {key: keyOffline},
	927:                {key: keyRestoring},
	904:                {key: keyRecovering}, // cannot be started at the moment
	921:                {key: keyRecovering}, // has not been recovered yet
	922:                {key: keyRecovering}, // is being recovered
	926:                {key: keySuspect},
	945:                {key: keySuspect}, // inaccessible files, memory or disk space
	946:                {key: keySuspect}, // created by an older version
	948:                {key: keySuspect}, // created by a newer version
	952:                {key: keyTransition},
	954:                {key: keySecondary}, // a mirror
	955:                {key: keyReplica},   // mirrored, without quorum
	956:                {key: keyReplica},   // mirrored, not yet synchronized
	976:                {key: keySecondary},
	codeReadIntentOnly: {key: keySecondary},
	codeNoReadIntent:   {key: keySecondary},
	codeNoReadable:     {key: keySecondary},
	983:                {key: keyReplica}, // neither primary nor secondary
	988:                {key: keyReplica}, // no quorum
	208:                {key: "collect.sqlserver.unsupported"},
	596:                {key: "collect.sqlserver.interrupted"}, // KILL
	701:                {key: "collect.sqlserver.exhausted"},   // no memory for the statement
	8645:               {key: "collect.sqlserver.exhausted"},   // waited too long for memory
	1205:               {key: "collect.sqlserver.deadlock"},
	codeLockTimeout:    {key: "collect.sqlserver.locked"},
}

// errorNumbers returns the numbers that the server sent for an error, in its order; nil when the error did not come
// from the server.
func errorNumbers(err error) []int32 {
	var refused mssql.Error
	if !errors.As(err, &refused) {
		return nil
	}
	numbers := make([]int32, 0, len(refused.All)+1)
	for _, e := range refused.All {
		numbers = append(numbers, e.Number)
	}
	return append(numbers, refused.Number)
}

// errorNumber returns the most specific number of an error, 0 when the error did not come from the server. A login that
// fails because of its database ends with the numbers for "cannot open" and "login failed"; those before them give the
// cause.
func errorNumber(err error) int32 {
	numbers := errorNumbers(err)
	if len(numbers) == 0 {
		return 0
	}
	for _, number := range numbers {
		_, known := meanings[number]
		if known && number != codeLoginFailed {
			return number
		}
	}
	return numbers[0]
}

// answered returns e with the number and the text of the server's error, nil if the server sent none.
func answered(e *models.Error, err error) *models.Error {
	number := errorNumber(err)
	e = e.With("error_number", number)
	var refused mssql.Error
	if !errors.As(err, &refused) {
		return e
	}
	for _, one := range refused.All {
		if one.Number == number {
			return e.WithServerText(one.Message)
		}
	}
	return e.WithServerText(refused.Message)
}

// isClosed reports whether a database could not be opened because the account has no access to it or for a reason that
// the server did not give.
func isClosed(err error) bool {
	switch errorNumber(err) {
	case codeNoEntry, codeCannotOpen, codeOpenedDefault, codeNoDefault:
		return true
	}
	return false
}

// isDenied reports whether a statement failed because the account lacks a permission.
func isDenied(err error) bool {
	number := errorNumber(err)
	return number != 0 && meanings[number].key == keyDenied
}

// failure returns the *models.Error for an error that occurred while the database was queried.
func failure(ctx context.Context, t collectors.Target, server serverInfo, database string, err error) error {
	if known := collectors.Settled(ctx, err); known != nil {
		return known
	}
	number := errorNumber(err)
	switch {
	case number == 0 && errors.Is(err, context.DeadlineExceeded):
		return &models.Error{Code: models.CodeTimeout, Err: err}
	case number == 0 && (collectors.ConnectionLost(err) || errors.As(err, new(mssql.StreamError))):
		return unreachable(t, err)
	case number == 0:
		return &models.Error{Code: models.CodeCollection, Err: err}
	}
	return refused(t, server, database, number, err)
}

// notConnected returns the error for a connection that failed. A number that is about a database does not make the
// server unreachable.
func notConnected(ctx context.Context, t collectors.Target, database string, err error) error {
	if known := collectors.Settled(ctx, err); known != nil {
		return known
	}
	if number := errorNumber(err); meanings[number].key != "" {
		return refused(t, serverInfo{}, database, number, err)
	}
	return unreachable(t, err)
}

// refused returns the error for a number that the server sent instead of rows.
func refused(t collectors.Target, server serverInfo, database string, number int32, err error) *models.Error {
	known, ok := meanings[number]
	refused := &models.Error{
		Code: models.CodeCollection, Key: known.key, Args: models.Args("Name", collectors.ValidName(database)), Err: err,
	}
	switch {
	case !ok:
		refused.Key, refused.Args = "collect.sqlserver.failed", models.Args("Number", number)
	case known.reason != "":
		return unreachable(t, err)
	case known.key == collectors.KeyDatabaseGone:
		refused = collectors.DatabaseGone(collectors.ValidName(database), err)
	case known.key == keyNoAccess:
		refused = refused.WithGrant(server.grantEntry(t, database))
	case known.key == keyDenied:
		refused = refused.WithGrant(server.grantNames(t, database) + " " + server.grantState(t))
	}
	return answered(refused, err)
}

// unreachable returns the error for a connection that failed or broke.
func unreachable(t collectors.Target, err error) *models.Error {
	number := errorNumber(err)
	if strings.Contains(err.Error(), textNoTLS) {
		err = errors.Join(collectors.ErrNoTLS, err)
	}
	if number == 0 {
		return collectors.Unreachable(t, connectReason(err), err)
	}
	reason := cmp.Or(meanings[number].reason, collectors.ReasonAnswered)
	return answered(collectors.Unreachable(t, reason, err), err)
}

// connectReason returns the reason for an error that did not come from the server. Of some errors the driver keeps only
// the text.
func connectReason(err error) string {
	reason := collectors.ConnectReason(err)
	contains := func(text string) bool { return strings.Contains(err.Error(), text) }
	switch {
	case reason != collectors.ReasonLost:
		return reason
	case errors.Is(err, errPlainLogin):
		return reasonPlainLogin
	case contains("TLS Handshake failed"):
		return collectors.ReasonTLS
	case contains("PRELOGIN"), contains("prelogin"),
		contains("encrypt negotiation failed"), contains("invalid packet size"):
		return collectors.ReasonProtocol
	}
	return reason
}

// reasonPlainLogin is that of a server without encryption, to which the login would send the password.
const reasonPlainLogin = "plain_login"

// textNoTLS is the text of the driver's error for a server without TLS, which has no value to compare with.
const textNoTLS = "server does not support encryption"

// otherIntent reports whether a connection may succeed with the opposite read intent: the database accepts only one of
// the two, or the server routed us to a replica that did not answer.
func otherIntent(err error, readOnly, routed bool) bool {
	if !readOnly {
		return slices.Contains(errorNumbers(err), codeReadIntentOnly)
	}
	numbers := errorNumbers(err)
	return slices.Contains(numbers, codeNoReadIntent) || slices.Contains(numbers, codeNoReadable) ||
		routed && len(numbers) == 0
}
