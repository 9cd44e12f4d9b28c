package sqlserver

import (
	"fmt"

	"whalefall/testenv/tds"
)

// texts are the server's messages, with their classes, from sys.messages as the reference lists it.
// https://learn.microsoft.com/sql/relational-databases/errors-events/database-engine-events-and-errors
var texts = map[int32]struct {
	class uint8
	text  string
}{
	102:   {15, "Incorrect syntax near '%s'."},
	105:   {15, "Unclosed quotation mark after the character string '%s'."},
	137:   {15, "Must declare the scalar variable \"@%s\"."},
	195:   {15, "'%s' is not a recognized %s."},
	201:   {16, "Procedure or function '%s' expects parameter '%s', which was not supplied."},
	207:   {16, "Invalid column name '%s'."},
	208:   {16, "Invalid object name '%s'."},
	209:   {16, "Ambiguous column name '%s'."},
	229:   {14, "The %s permission was denied on the object '%s', database '%s', schema '%s'."},
	262:   {14, "%s permission denied in database '%s'."},
	297:   {16, "The user does not have permission to perform this action."},
	300:   {14, "%s permission was denied on object '%s', database '%s'."},
	596:   {21, "Cannot continue the execution because the session is in the kill state."},
	701:   {17, "There is insufficient system memory in resource pool '%s' to run this query."},
	911:   {16, "Database '%s' does not exist. Make sure that the name is entered correctly."},
	916:   {14, "The server principal \"%s\" is not able to access the database \"%s\" under the current security context."},
	922:   {14, "Database '%s' is being recovered. Waiting until recovery is finished."},
	924:   {14, "Database '%s' is already open and can only have one user at a time."},
	926:   {14, "Database '%s' cannot be opened. It has been marked SUSPECT by recovery. See the SQL Server errorlog for more information."},
	927:   {14, "Database '%s' cannot be opened. It is in the middle of a restore."},
	942:   {14, "Database '%s' cannot be opened because it is offline."},
	945:   {16, "Database '%s' cannot be opened due to inaccessible files or insufficient memory or disk space. See the SQL Server errorlog for details."},
	952:   {16, "Database '%s' is in transition. Try the statement later."},
	976:   {14, "The target database, '%s', is participating in an availability group and is currently not accessible for queries. Either data movement is suspended or the availability replica is not enabled for read access. To allow read-only access to this and other databases in the availability group, enable read access to one or more secondary availability replicas in the group. For more information, see the ALTER AVAILABILITY GROUP statement in SQL Server Books Online."},
	978:   {14, "The target database ('%s') is in an availability group and is currently accessible for connections when the application intent is set to read only. For more information about application intent, see SQL Server Books Online."},
	983:   {14, "Unable to access availability database '%s' because the database replica is not in the PRIMARY or SECONDARY role. Connections to an availability database is permitted only when the database replica is in the PRIMARY or SECONDARY role. Try the operation again later."},
	1205:  {13, "Transaction (Process ID %d) was deadlocked on lock resources with another process and has been chosen as the deadlock victim. Rerun the transaction."},
	1222:  {16, "Lock request time out period exceeded."},
	2812:  {16, "Could not find stored procedure '%s'."},
	4060:  {11, "Cannot open database \"%s\" requested by the login. The login failed."},
	4063:  {11, "Cannot open database \"%s\" that was requested by the login. Using the user default database \"%s\" instead."},
	4064:  {11, "Cannot open user default database. Login failed."},
	8115:  {16, "Arithmetic overflow error converting expression to data type %s."},
	8144:  {16, "Procedure or function %s has too many arguments specified."},
	15009: {16, "The object '%s' does not exist in database '%s' or is invalid for this operation."},
	15234: {16, "Objects of this type have no space allocated."},
	15250: {16, "The database name component of the object qualifier must be the name of the current database."},
	18456: {14, "Login failed for user '%s'."},
	40508: {16, "USE statement is not supported to switch between databases. Use a new connection to connect to a different database."},
	40613: {17, "Database '%s' on server '%s' is not currently available. Please retry the connection later."},
}

// Message is one of the server's errors with its class and text; the arguments are those of the text. It panics for a
// number that it does not know.
func Message(number int32, arguments ...any) tds.Error {
	known, ok := texts[number]
	if !ok {
		panic(fmt.Sprintf("no text for message %d", number))
	}
	return tds.Error{
		Number: number, Class: known.class, State: 1, Message: fmt.Sprintf(known.text, arguments...),
		Server: serverName, Line: 1,
	}
}
