package collectors_test

import (
	"database/sql/driver"

	"whalefall/collectors"
	"whalefall/collectors/collectortest"
	"whalefall/collectors/mysql"
	"whalefall/collectors/oracle"
	"whalefall/collectors/postgresql"
	emulated "whalefall/testenv/oracle"
)

func init() {
	collectors.Hooks.NewPostgreSQL = func() collectors.Collector { return postgresql.New() }
	collectors.Hooks.NewPatientPostgreSQL = func() collectors.Collector {
		c := postgresql.New()
		c.Parameters["lock_timeout"] = "0"
		return c
	}
	collectors.Hooks.NewMySQL = func() collectors.Collector { return mysql.New() }
	collectors.Hooks.NewOracle = func(server *emulated.Server) collectors.Collector {
		c := oracle.New(nil)
		c.Connector = func(t collectors.Target) (driver.Connector, error) {
			return server.Connector(emulated.Login{
				Service: t.Database, SID: t.Options[oracle.OptionSID], Username: t.Username, Password: t.Password,
			}), nil
		}
		return c
	}
	collectors.Hooks.MySQLAccount = collectortest.MySQLAccount
	collectors.Hooks.LockMySQL = collectortest.LockMySQL
	collectors.Hooks.ConnectMySQL = collectortest.ConnectMySQL
	collectors.Hooks.PostgreSQLTarget = collectortest.PostgreSQLTarget
	collectors.Hooks.PlainPostgreSQLTarget = collectortest.PlainPostgreSQLTarget
	collectors.Hooks.ConnectPostgreSQL = collectortest.ConnectPostgreSQL
	collectors.Hooks.HoldPostgreSQL = collectortest.HoldPostgreSQL
	collectors.Hooks.OracleTarget = collectortest.OracleTarget
	collectors.Hooks.OracleTwoSchemas = collectortest.OracleTwoSchemas
	collectors.Hooks.OracleTablespace = collectortest.OracleTablespace
	collectors.Hooks.OracleFile = collectortest.OracleFile
	collectors.Hooks.OracleTable = collectortest.OracleTable
	collectors.Hooks.OracleSegment = collectortest.OracleSegment
}
