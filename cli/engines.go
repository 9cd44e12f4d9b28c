package cli

import (
	"path/filepath"

	"whalefall/collectors"
	"whalefall/models"
)

// Engines returns the collector of each engine that this release knows.
func Engines(s *Settings) map[models.Engine]collectors.Collector {
	return collectors.Engines(append(s.SqliteDirs, s.DataDir), append(s.WalletDirs, filepath.Join(s.DataDir, "wallets")))
}
