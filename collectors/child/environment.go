package child

import (
	"os"
	"runtime"
)

// kept are the variables that a child inherits: those that resolvers, certificates and the runtime heed. Any other may
// be a secret.
var kept = []string{
	"GOCOVERDIR", "GODEBUG", "GOTRACEBACK", "HOME", "LOCALDOMAIN", "RES_OPTIONS", "SSL_CERT_DIR", "SSL_CERT_FILE",
	"TEMP", "TMP", "TMPDIR", "TZ", "USER", "USERNAME", "USERPROFILE",
}

func environment() []string {
	env := []string{} // nil would be this process's
	for _, name := range kept {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// selfLink leads to this process's program on Linux, even after an upgrade has replaced its file.
const selfLink = "/proc/self/exe"

func executable() (string, error) {
	if runtime.GOOS == "linux" {
		if _, err := os.Stat(selfLink); err == nil {
			return selfLink, nil
		}
	}
	return os.Executable()
}
