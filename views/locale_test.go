package views

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"

	"whalefall/models"
)

// catalog returns all messages of one language by key.
func catalog(t *testing.T, lang string) map[string]string {
	t.Helper()
	all := map[string]string{}
	files, err := fs.Glob(catalogs, "locale/*."+lang+".toml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no catalogs for %s: %v", lang, err)
	}
	for _, name := range files {
		var group map[string]struct{ Other string }
		if _, err := toml.DecodeFS(catalogs, name, &group); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for key, message := range group {
			if _, twice := all[key]; twice {
				t.Errorf("%s: %q is in two files", name, key)
			}
			if message.Other == "" {
				t.Errorf("%s: %q is empty", name, key)
			}
			all[key] = message.Other
		}
	}
	return all
}

var placeholder = regexp.MustCompile(`{{\.\w+}}`)

func TestCatalogs_SameKeysAndPlaceholders(t *testing.T) {
	t.Parallel()

	zh, en := catalog(t, Chinese), catalog(t, English)
	for key, text := range zh {
		other, ok := en[key]
		if !ok {
			t.Errorf("%q is missing in English", key)
			continue
		}
		for _, p := range placeholder.FindAllString(other, -1) {
			if !strings.Contains(text, p) {
				t.Errorf("%q: English has %s, Chinese has not", key, p)
			}
		}
		for _, p := range placeholder.FindAllString(text, -1) {
			if !strings.Contains(other, p) {
				t.Errorf("%q: Chinese has %s, English has not", key, p)
			}
		}
	}
	for key := range en {
		if _, ok := zh[key]; !ok {
			t.Errorf("%q is missing in Chinese", key)
		}
	}
}

// keyLiteral matches a message key in the code: the first literal of p.T, p.In and Message, and the keys of errors.
var keyLiteral = regexp.MustCompile(
	`(?:\bT\(|\bIn\([\w.]+, |\bMessage\((?:[\w.]+|lang\(c\)), |\bInvalid\(|\bNotFound\(|\bKey: )"([^"]+)"`)

func TestCatalogs_KeysInCode(t *testing.T) {
	t.Parallel()

	zh := catalog(t, Chinese)
	var seen int
	for _, room := range []string{".", "../handlers", "../models", "../collectors"} {
		for _, pattern := range []string{"*.go", "*.templ"} {
			files, err := filepath.Glob(filepath.Join(room, pattern))
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range files {
				if strings.HasSuffix(name, "_templ.go") || strings.HasSuffix(name, "_test.go") {
					continue
				}
				source, err := os.ReadFile(name)
				if err != nil {
					t.Fatal(err)
				}
				for _, m := range keyLiteral.FindAllStringSubmatch(string(source), -1) {
					seen++
					// A key that ends in a dot is completed from data, see TestCatalogs_KeysFromData.
					if _, ok := zh[m[1]]; !ok && !strings.HasSuffix(m[1], ".") {
						t.Errorf("%s: no message %q", name, m[1])
					}
				}
			}
		}
	}
	if seen < 100 {
		t.Errorf("found only %d keys: the pattern no longer fits the code", seen)
	}
}

func TestCatalogs_KeysFromData(t *testing.T) {
	t.Parallel()

	zh := catalog(t, Chinese)
	need := func(keys ...string) {
		for _, key := range keys {
			if _, ok := zh[key]; !ok {
				t.Errorf("no message %q", key)
			}
		}
	}
	for _, r := range []models.Role{models.RoleAdmin, models.RoleUser, models.RoleGuest} {
		need("role." + string(r))
	}
	for _, permission := range models.Permissions {
		need("may." + string(permission))
	}
	for _, m := range tlsModes {
		need("tls." + string(m))
	}
	for _, s := range []string{"active", "inactive", "deleted", "online", "gone"} {
		need("status." + s)
	}
	for _, u := range []models.Unread{models.UnreadLocked, models.UnreadHidden, models.UnreadFailed} {
		need("unread."+string(u), "unread."+string(u)+"_badge")
	}
	for _, k := range []models.Kind{
		models.KindPartition, models.KindMatview, models.KindSequence, models.KindMerge, models.KindMemory,
		models.KindExternal, models.KindShadow, models.KindIndexedView, models.KindMemoryOptimized, models.KindCluster,
		models.KindRecycleBin, models.KindTemporary,
	} {
		need("kind."+string(k), "kind."+string(k)+"_hint")
	}
	for _, s := range models.RunStatuses {
		need("run.status." + string(s))
	}
	for _, s := range []models.RunStatus{models.RunFailed, models.RunCancelled, models.RunInterrupted} {
		need("run.status."+string(s)+"_hint", "runs.last."+string(s))
	}
	for _, k := range models.RunKinds {
		need("run.kind." + string(k))
	}
	need("run.stage." + string(models.RunQueued))
	for _, phase := range []models.RunPhase{models.PhaseConnecting, models.PhaseQuerying, models.PhaseStoring} {
		need("run.stage." + string(phase))
	}
	for _, proof := range []models.Proof{
		models.ProofCatalog, models.ProofGrants, models.ProofMetadata, models.ProofLedger, models.ProofFile,
	} {
		need("proof." + string(proof))
	}
	for _, n := range []models.Note{
		models.NoteUnclassified, models.NoteClustered, models.NoteHistory, models.NoteShipped, models.NoteFullText,
	} {
		need("note."+string(n), "note."+string(n)+"_hint")
	}
}

// TestCatalogs_EngineVariants: a variant for an engine is read only beside a message for all.
func TestCatalogs_EngineVariants(t *testing.T) {
	t.Parallel()

	zh := catalog(t, Chinese)
	own := 0
	for key := range zh {
		for _, e := range models.Engines {
			base, is := strings.CutSuffix(key, "."+string(e))
			if !is {
				continue
			}
			own++
			if _, ok := zh[base]; !ok {
				t.Errorf("%q is no variant of another message", key)
			}
		}
	}
	if own < 20 {
		t.Errorf("got %d variants, want at least 20: the pattern no longer fits the keys", own)
	}
}
