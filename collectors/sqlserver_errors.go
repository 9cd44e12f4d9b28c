package collectors

import (
	"context"
	"errors"
	"slices"
	"strings"

	mssql "github.com/microsoft/go-mssqldb"

	"whalefall/models"
)

// Error numbers that more than one place knows.
const (
	sqlserverSelectDenied   = 229
	sqlserverStateDenied    = 262
	sqlserverNoPermission   = 297
	sqlserverServerDenied   = 300
	sqlserverNoDatabase     = 911
	sqlserverNoEntry        = 916
	sqlserverReadIntentOnly = 978
	sqlserverNoReadIntent   = 979
	sqlserverNoReadable     = 982
	sqlserverCannotOpen     = 4060
	sqlserverOpenedDefault  = 4063 // instead of the one that was asked for
	sqlserverNoDefault      = 4064 // neither that nor the login's own
	sqlserverLoginFailed    = 18456
	sqlserverLockTimeout    = 1222
)

// Message keys that more than one place knows.
const (
	keyMSSQLDenied     = "collect.mssql.denied"
	keyMSSQLNoAccess   = "collect.mssql.no_access"
	keyMSSQLSingleUser = "collect.mssql.single_user"
	keyMSSQLOffline    = "collect.mssql.offline"
	keyMSSQLRestoring  = "collect.mssql.restoring"
	keyMSSQLRecovering = "collect.mssql.recovering"
	keyMSSQLSuspect    = "collect.mssql.suspect"
	keyMSSQLEmergency  = "collect.mssql.emergency"
	keyMSSQLTransition = "collect.mssql.transition"
	keyMSSQLSecondary  = "collect.mssql.secondary"
	keyMSSQLReplica    = "collect.mssql.replica"
	keyMSSQLSnapshot   = "collect.mssql.snapshot"
)

// sqlserverMeaning is what an error number tells the user. One with a reason says that there is no connection.
type sqlserverMeaning struct {
	key    string
	reason string
}

var sqlserverMeanings = map[int32]sqlserverMeaning{
	sqlserverLoginFailed: {reason: reasonLogin}, // wrong user or password
	18450:                {reason: reasonLogin}, // the login is not one that Windows trusts
	18452:                {reason: reasonLogin}, // the login is of an untrusted domain
	18470:                {reason: reasonLogin}, // the account is disabled
	18486:                {reason: reasonLogin}, // the account is locked
	18487:                {reason: reasonLogin}, // the password has expired
	18488:                {reason: reasonLogin}, // the password must be changed
	40532:                {reason: reasonLogin}, // Azure: no such server for this login
	40615:                {reason: reasonLogin}, // Azure: the firewall does not know this address
	40914:                {reason: reasonLogin}, // Azure: the firewall does not know this network
	47073:                {reason: reasonLogin}, // Azure: public access is switched off

	10928: {reason: reasonBusy}, // Azure: the limit of requests or sessions is reached
	10929: {reason: reasonBusy}, // Azure: the same, below the guaranteed minimum
	10936: {reason: reasonBusy}, // Azure: the limit of the elastic pool is reached
	17809: {reason: reasonBusy}, // the limit of user connections is reached
	18461: {reason: reasonBusy}, // single-user mode, and somebody is there
	40501: {reason: reasonBusy}, // Azure: the service is busy
	49918: {reason: reasonBusy}, // Azure: not enough resources for the request
	49919: {reason: reasonBusy}, // Azure: too many operations
	49920: {reason: reasonBusy}, // Azure: too many operations in the subscription

	6005:  {reason: reasonStarting}, // the server shuts down
	17142: {reason: reasonStarting}, // the server is paused
	17187: {reason: reasonStarting}, // the server is not ready yet
	18401: {reason: reasonStarting}, // the server upgrades itself
	18451: {reason: reasonStarting}, // only administrators may connect now
	40197: {reason: reasonStarting}, // Azure: the service is being upgraded or failed over
	40613: {reason: reasonStarting}, // Azure: the database is not available at the moment

	sqlserverSelectDenied:   {key: keyMSSQLDenied},
	sqlserverStateDenied:    {key: keyMSSQLDenied},
	sqlserverNoPermission:   {key: keyMSSQLDenied},
	sqlserverServerDenied:   {key: keyMSSQLDenied},
	sqlserverNoDatabase:     {key: KeyDatabaseGone},
	sqlserverNoEntry:        {key: keyMSSQLNoAccess},
	923:                     {key: keyMSSQLSingleUser}, // restricted to owners and administrators
	924:                     {key: keyMSSQLSingleUser},
	942:                     {key: keyMSSQLOffline},
	927:                     {key: keyMSSQLRestoring},
	904:                     {key: keyMSSQLRecovering}, // cannot be started now
	921:                     {key: keyMSSQLRecovering}, // has not been recovered yet
	922:                     {key: keyMSSQLRecovering}, // is being recovered
	926:                     {key: keyMSSQLSuspect},
	945:                     {key: keyMSSQLSuspect}, // inaccessible files, memory or disk space
	946:                     {key: keyMSSQLSuspect}, // of an older version
	948:                     {key: keyMSSQLSuspect}, // of a newer version
	952:                     {key: keyMSSQLTransition},
	954:                     {key: keyMSSQLSecondary}, // a mirror
	955:                     {key: keyMSSQLReplica},   // mirrored, without quorum
	956:                     {key: keyMSSQLReplica},   // mirrored, not yet synchronised
	976:                     {key: keyMSSQLSecondary},
	sqlserverReadIntentOnly: {key: keyMSSQLSecondary},
	sqlserverNoReadIntent:   {key: keyMSSQLSecondary},
	sqlserverNoReadable:     {key: keyMSSQLSecondary},
	983:                     {key: keyMSSQLReplica}, // neither primary nor secondary
	988:                     {key: keyMSSQLReplica}, // no quorum
	208:                     {key: "collect.mssql.unsupported"},
	596:                     {key: "collect.mssql.interrupted"}, // KILL
	701:                     {key: "collect.mssql.exhausted"},   // no memory for the statement
	8645:                    {key: "collect.mssql.exhausted"},   // waited too long for memory
	1205:                    {key: "collect.mssql.deadlock"},
	sqlserverLockTimeout:    {key: "collect.mssql.locked"},
}

// sqlserverNumbers are the server's numbers for an error, the first one first; none when the server did not send it.
func sqlserverNumbers(err error) []int32 {
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

// sqlserverNumber is the number that says most about an error, 0 when the server did not send it. A login that ends
// because of its database is told so twice: "cannot open", "login failed"; what comes before these says why.
func sqlserverNumber(err error) int32 {
	numbers := sqlserverNumbers(err)
	if len(numbers) == 0 {
		return 0
	}
	for _, number := range numbers {
		_, known := sqlserverMeanings[number]
		if known && number != sqlserverLoginFailed {
			return number
		}
	}
	return numbers[0]
}

// sqlserverClosed reports whether a database could not be opened for a reason that was not told, or because it does not
// let us in.
func sqlserverClosed(err error) bool {
	switch sqlserverNumber(err) {
	case sqlserverNoEntry, sqlserverCannotOpen, sqlserverOpenedDefault, sqlserverNoDefault:
		return true
	}
	return false
}

// sqlserverDenied reports whether a statement failed for want of a permission.
func sqlserverDenied(err error) bool {
	number := sqlserverNumber(err)
	return number != 0 && sqlserverMeanings[number].key == keyMSSQLDenied
}

// sqlserverFailure makes a *models.Error of an error that came about while the database was asked.
func sqlserverFailure(ctx context.Context, t Target, server sqlserverServer, database string, err error) error {
	if known := settled(ctx, err); known != nil {
		return known
	}
	number := sqlserverNumber(err)
	switch {
	case number == 0 && errors.Is(err, context.DeadlineExceeded):
		return &models.Error{Code: models.CodeTimeout, Err: err}
	case number == 0 && (connectionLost(err) || errors.As(err, new(mssql.StreamError))):
		return sqlserverUnreachable(t, err)
	case number == 0:
		return &models.Error{Code: models.CodeCollection, Err: err}
	}
	return sqlserverRefused(t, server, database, number, err)
}

// sqlserverNotConnected is the error for a connection that did not come about. What the server says about a database is
// about that alone.
func sqlserverNotConnected(ctx context.Context, t Target, database string, err error) error {
	if known := settled(ctx, err); known != nil {
		return known
	}
	if number := sqlserverNumber(err); sqlserverMeanings[number].key != "" {
		return sqlserverRefused(t, sqlserverServer{}, database, number, err)
	}
	return sqlserverUnreachable(t, err)
}

// sqlserverRefused is the error for what the server answered instead of rows.
func sqlserverRefused(t Target, server sqlserverServer, database string, number int32, err error) *models.Error {
	known, ok := sqlserverMeanings[number]
	refused := &models.Error{
		Code: models.CodeCollection, Key: known.key, Args: models.Args("Name", validName(database)), Err: err,
	}
	switch {
	case !ok:
		refused.Key, refused.Args = "collect.mssql.failed", models.Args("Number", number)
	case known.reason != "":
		return sqlserverUnreachable(t, err)
	case known.key == KeyDatabaseGone:
		refused = databaseGone(validName(database), err)
	case known.key == keyMSSQLNoAccess:
		refused = refused.With("grant", server.grantEntry(t, database))
	case known.key == keyMSSQLDenied:
		refused = refused.With("grant", server.grantNames(t, database)+" "+server.grantState(t))
	}
	return refused.With("error_number", number)
}

// sqlserverUnreachable is the error for a connection that did not come about or broke.
func sqlserverUnreachable(t Target, err error) *models.Error {
	number := sqlserverNumber(err)
	if number == 0 {
		return unreachable(t, sqlserverConnectReason(err), err)
	}
	reason := reasonLost
	if known := sqlserverMeanings[number].reason; known != "" {
		reason = known
	}
	return unreachable(t, reason, err).With("error_number", number)
}

// sqlserverConnectReason is connectReason for errors of which the driver keeps only the text.
func sqlserverConnectReason(err error) string {
	reason := connectReason(err)
	contains := func(text string) bool { return strings.Contains(err.Error(), text) }
	switch {
	case reason != reasonLost:
		return reason
	case contains("TLS Handshake failed"), contains(sqlserverPlainOnly):
		return reasonTLS
	case contains("PRELOGIN"), contains("prelogin"), contains("encrypt negotiation failed"), contains("invalid packet size"):
		return reasonProtocol
	}
	return reason
}

// sqlserverPlainOnly is the driver's text, and its only sign, for a server without TLS.
const sqlserverPlainOnly = "server does not support encryption"

// sqlserverOtherIntent reports whether a connection may come about with the other read intent: the database takes only
// one of them, or the server sent us on to a replica that did not answer.
func sqlserverOtherIntent(err error, readOnly, routed bool) bool {
	if !readOnly {
		return slices.Contains(sqlserverNumbers(err), sqlserverReadIntentOnly)
	}
	numbers := sqlserverNumbers(err)
	return slices.Contains(numbers, sqlserverNoReadIntent) || slices.Contains(numbers, sqlserverNoReadable) ||
		routed && len(numbers) == 0
}
