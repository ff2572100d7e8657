package cli

import (
	"io"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"flydeploy/cli/hooks"
	"flydeploy/engine"
	"flydeploy/s3"
)

// load reads the settings of a command line in a folder with the given files.
func load(t *testing.T, files map[string]string, args ...string) (deploySettings, error) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	d := defaultDeploy()
	cmd := &cobra.Command{Args: cobra.NoArgs}
	d.register(cmd)
	if err := cmd.ParseFlags(args); err != nil {
		return d, err
	}
	err := d.load(cmd)
	return d, err
}

// Each setting, from the weakest source to the strongest.
func TestPrecedenceOfSettings(t *testing.T) {
	app := func(d deploySettings) any { return d.engine.App }
	bucket := func(d deploySettings) any { return d.bucket }
	otpApp := func(d deploySettings) any { return d.engine.OTPApp }
	release := func(d deploySettings) any { return d.engine.Release }
	container := func(d deploySettings) any { return d.container }
	concurrency := func(d deploySettings) any { return d.engine.MaxConcurrency }
	suspend := func(d deploySettings) any { return d.engine.SuspendTimeout }
	migration := func(d deploySettings) any { return d.engine.MigrationTimeout }
	most := func(d deploySettings) any { return d.engine.MaxSuspend }
	timeout := func(d deploySettings) any { return d.engine.Timeout }
	lock := func(d deploySettings) any { return d.engine.LockTimeout }
	strategy := func(d deploySettings) any { return d.engine.Strategy }
	for name, try := range map[string]struct {
		of      func(deploySettings) any
		env     string // NAME=VALUE
		fly     string // fly.toml
		project string // flydeploy.toml
		args    []string
		want    any
	}{
		"strategy":                          {of: strategy, fly: "app = 'a'", want: engine.Strategy{Kind: "all", Bake: 10 * time.Second}},
		"canary":                            {of: strategy, fly: "app = 'a'", args: []string{"--strategy=canary"}, want: engine.Strategy{Kind: "canary", Bake: 30 * time.Second}},
		"a canary's bake of flydeploy.toml": {of: strategy, fly: "app = 'a'", project: "bake = 0", args: []string{"--strategy=canary"}, want: engine.Strategy{Kind: "canary"}},
		"bake of the command line":          {of: strategy, fly: "app = 'a'", project: "bake = 7", args: []string{"--bake=3"}, want: engine.Strategy{Kind: "all", Bake: 3 * time.Second}},
		"size of a wave":                    {of: strategy, fly: "app = 'a'", project: "max_concurrency = 3", args: []string{"--strategy=rolling", "--bake=5"}, want: engine.Strategy{Kind: "rolling", WaveSize: 3, Bake: 5 * time.Second}},
		"app of the environment":            {of: app, env: "FLY_APP=env", want: "env"},
		"app of fly.toml":                   {of: app, fly: "app = 'file'", want: "file"},
		"app twice the same":                {of: app, env: "FLY_APP=file", fly: "app = 'file'", want: "file"},
		"app of the command line":           {of: app, env: "FLY_APP=env", fly: "app = 'file'", args: []string{"--app", "flag"}, want: "flag"},
		"no bucket":                         {of: bucket, fly: "app = 'a'", want: ""},
		"bucket of flydeploy.toml":          {of: bucket, fly: "app = 'a'", project: "bucket = 'p'", want: "p"},
		"files with a byte order mark":      {of: bucket, fly: "\xef\xbb\xbfapp = 'a'", project: "\xef\xbb\xbfbucket = 'p'", want: "p"},
		"bucket of the command line":        {of: bucket, fly: "app = 'a'", project: "bucket = 'p'", args: []string{"--bucket=f"}, want: "f"},
		"otp app of flydeploy.toml":         {of: otpApp, fly: "app = 'a'", project: "otp_app = 'p'", want: "p"},
		"otp app of the command line":       {of: otpApp, fly: "app = 'a'", project: "otp_app = 'p'", args: []string{"--otp-app=f"}, want: "f"},
		"release of flydeploy.toml":         {of: release, fly: "app = 'a'", project: "release = 'p'\nrelease_root = '/p'", want: engine.Release{Name: "p", Root: "/p"}},
		"release of the command line":       {of: release, fly: "app = 'a'", project: "release = 'p'\nrelease_root = '/p'", args: []string{"--release=f", "--release-root=/f"}, want: engine.Release{Name: "f", Root: "/f"}},
		"container of flydeploy.toml":       {of: container, fly: "app = 'a'", project: "container = 'p'", want: "p"},
		"container of the command line":     {of: container, fly: "app = 'a'", project: "container = 'p'", args: []string{"--container=f"}, want: "f"},
		"default concurrency":               {of: concurrency, fly: "app = 'a'", want: 20},
		"concurrency of flydeploy.toml":     {of: concurrency, fly: "app = 'a'", project: "max_concurrency = 7", want: 7},
		"concurrency of the command line":   {of: concurrency, fly: "app = 'a'", project: "max_concurrency = 7", args: []string{"--max-concurrency=3"}, want: 3},
		"default suspend timeout":           {of: suspend, fly: "app = 'a'", want: 250 * time.Millisecond},
		"suspend timeout in fly_deploy's":   {of: suspend, fly: "app = 'a'", project: "suspend_timeout = 10_000", want: 10 * time.Second},
		"suspend timeout of the line":       {of: suspend, fly: "app = 'a'", project: "suspend_timeout = 9", args: []string{"--suspend-timeout=500"}, want: 500 * time.Millisecond},
		"default migration timeout":         {of: migration, fly: "app = 'a'", want: time.Second},
		"migration timeout of the line":     {of: migration, fly: "app = 'a'", project: "migration_timeout = 9", args: []string{"--migration-timeout=3s"}, want: 3 * time.Second},
		"default max suspend":               {of: most, fly: "app = 'a'", want: 2 * time.Second},
		"max suspend of flydeploy.toml":     {of: most, fly: "app = 'a'", project: "max_suspend = 500", want: 500 * time.Millisecond},
		"default timeout":                   {of: timeout, fly: "app = 'a'", want: time.Minute},
		"timeout of flydeploy.toml":         {of: timeout, fly: "app = 'a'", project: "timeout = 120000", want: 2 * time.Minute},
		"timeout of the command line":       {of: timeout, fly: "app = 'a'", project: "timeout = 5", args: []string{"--timeout", "90s"}, want: 90 * time.Second},
		"default lock timeout":              {of: lock, fly: "app = 'a'", want: 5 * time.Minute},
		"lock timeout of flydeploy.toml":    {of: lock, fly: "app = 'a'", project: "lock_timeout = 600", want: 10 * time.Minute},
		"lock timeout of the command line":  {of: lock, fly: "app = 'a'", project: "lock_timeout = 600", args: []string{"--lock-timeout", "120"}, want: 2 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("FLY_APP", "")
			if variable, value, ok := strings.Cut(try.env, "="); ok {
				t.Setenv(variable, value)
			}
			s, err := load(t, map[string]string{"fly.toml": try.fly, "flydeploy.toml": try.project}, try.args...)
			if err != nil {
				t.Fatal(err)
			}
			if got := try.of(s); got != try.want {
				t.Errorf("got %v, want %v", got, try.want)
			}
		})
	}
}

func TestEnvOfTheTemporaryMachine(t *testing.T) {
	t.Setenv("FLY_APP", "")
	s, err := load(t, map[string]string{
		"fly.json":       `{"app": "a", "env": {"A": "fly", "B": "fly", "PORT": 8080}}`,
		"flydeploy.toml": "[env]\nB = 'mine'\nC = 'mine'\n",
	}, "--temporary-env=C=now=x", "--temporary-env=D=")
	want := map[string]string{"A": "fly", "B": "mine", "C": "now=x", "D": "", "PORT": "8080"}
	if err != nil || !maps.Equal(s.temporary.Env, want) || !maps.Equal(s.engine.Temporary.Env, want) || s.config != "fly.json" {
		t.Errorf("%v of %s, %v", s.temporary, s.config, err)
	}
}

func TestWhereTemporaryMachinesRun(t *testing.T) {
	t.Setenv("FLY_APP", "")
	files := map[string]string{"fly.toml": "app = 'a'", "flydeploy.toml": "temporary_regions = ['fra', 'any']\ntemporary_size = 'shared-cpu-2x'\ntemporary_memory = 512"}
	for name, try := range map[string]struct {
		files map[string]string
		args  []string
		want  engine.Temporary
	}{
		"neither":        {map[string]string{"fly.toml": "app = 'a'"}, nil, engine.Temporary{}},
		"flydeploy.toml": {files, nil, engine.Temporary{Regions: []string{"fra", "any"}, Size: "shared-cpu-2x", MemoryMB: 512}},
		"the command line": {
			files, []string{"--temporary-region=ams", "--temporary-region=lhr", "--temporary-size=performance-1x", "--temporary-memory=4096"},
			engine.Temporary{Regions: []string{"ams", "lhr"}, Size: "performance-1x", MemoryMB: 4096},
		},
	} {
		s, err := load(t, try.files, try.args...)
		s.engine.Temporary.Env = nil
		if err != nil || !reflect.DeepEqual(s.engine.Temporary, try.want) {
			t.Errorf("%s: %+v, %v", name, s.engine.Temporary, err)
		}
	}
}

func TestWhereTheReleaseIsReadFrom(t *testing.T) {
	t.Setenv("FLY_APP", "")
	files := map[string]string{"fly.toml": "app = 'a'", "flydeploy.toml": "source = 'registry'"}
	for arg, want := range map[string]engine.ReleaseSource{"": engine.SourceRegistry, "--source=auto": engine.SourceAuto, "--source=machine": engine.SourceMachine} {
		s, err := load(t, files, strings.Fields(arg)...)
		if err != nil || s.engine.Source != want {
			t.Errorf("%q: %s, %v", arg, s.engine.Source, err)
		}
	}
}

func TestAnAppWithoutFlyToml(t *testing.T) {
	t.Setenv("FLY_APP", "")
	s, err := load(t, map[string]string{"flydeploy.toml": "bucket = 'b'"}, "--app", "lonely")
	if err != nil || s.name != "lonely" || s.config != "" || s.bucket != "b" {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestSettingsThatAreRefused(t *testing.T) {
	fine := map[string]string{"fly.toml": "app = 'a'"}
	project := func(text string) map[string]string {
		return map[string]string{"fly.toml": "app = 'a'", "flydeploy.toml": text}
	}
	for name, try := range map[string]struct {
		files map[string]string
		env   string // FLY_APP
		args  []string
		code  int
		says  string
	}{
		"no fly.toml":                          {nil, "", nil, 1, "fly.toml"},
		"a config that is absent":              {fine, "", []string{"--config", "other.toml", "--app", "a"}, 1, "other.toml"},
		"no app":                               {map[string]string{"fly.toml": ""}, "", nil, exitUsage, "--app"},
		"two apps":                             {fine, "b", nil, exitUsage, "FLY_APP says b"},
		"broken fly.toml":                      {map[string]string{"fly.toml": "app = 'a'\n[env"}, "", nil, 1, "fly.toml:2"},
		"broken fly.yaml":                      {map[string]string{"fly.yaml": "app: a\n\tb"}, "", nil, 1, "fly.yaml:2"},
		"broken flydeploy.toml":                {project("a = 1\nbucket"), "", nil, 1, "flydeploy.toml:2"},
		"unknown setting":                      {project("bucket = 'b'\nbukcet = 'b'"), "", nil, 1, "flydeploy.toml:2: there is no setting bukcet"},
		"unknown table":                        {project("\n[environment]\nA = 'b'"), "", nil, 1, "flydeploy.toml:2: there is no setting environment"},
		"a bucket that is a list":              {project("\nbucket = ['b']"), "", nil, 1, "flydeploy.toml:2: bucket"},
		"wrong type":                           {project("max_concurrency = '4'"), "", nil, 1, "flydeploy.toml:1: max_concurrency: must be of type int, not string"},
		"no concurrency":                       {project("bucket = 'b'\n\nmax_concurrency = 0"), "", nil, 1, "flydeploy.toml:3: max_concurrency"},
		"a negative timeout":                   {project("timeout = -1"), "", nil, 1, "flydeploy.toml:1: timeout"},
		"a timeout with unit":                  {project("suspend_timeout = '2s'"), "", nil, 1, "flydeploy.toml:1: suspend_timeout"},
		"a short lock":                         {project("lock_timeout = 119"), "", nil, exitUsage, "at least 120"},
		"a lock shorter than an agent's life":  {fine, "", []string{"--lock-timeout=60"}, exitUsage, "at least 120"},
		"a theme of nobody":                    {fine, "", []string{"--theme=pink"}, exitUsage, "auto, dark or light"},
		"a root that is no folder of an image": {fine, "", []string{"--release-root=app"}, exitUsage, "a folder of the image, such as /app"},
		"wrong before missing":                 {nil, "", []string{"--skip-build"}, exitUsage, "--image"},
		"storage of nobody":                    {fine, "", []string{"--storage=mine"}, exitUsage, "machine or env"},
		"two sources of storage":               {fine, "", []string{"--storage=env", "--aws-profile=p"}, exitUsage, "not both"},
		"some machines or all":                 {fine, "", []string{"--or-cold", "--region=fra"}, exitUsage, "all machines"},
		"no release command":                   {fine, "", []string{"--release-command"}, exitUsage, "no release_command"},
		"no image":                             {fine, "", []string{"--skip-build"}, exitUsage, "--image"},
		"an image and a build":                 {fine, "", []string{"--image=a:b"}, exitUsage, "--skip-build"},
		"a source of nobody":                   {fine, "", []string{"--source=docker"}, exitUsage, "auto, machine or registry"},
		"a source of nobody in the file":       {project("source = 'docker'"), "", nil, exitUsage, "auto, machine or registry"},
		"configuration without a machine":      {fine, "", []string{"--source=registry", "--apply-config"}, exitUsage, "--source registry takes none"},
		"its command without a machine":        {fine, "", []string{"--source=registry", "--release-command"}, exitUsage, "--source registry takes none"},
		"configuration and the file":           {project("source = 'registry'"), "", []string{"--apply-config"}, exitUsage, "--source registry takes none"},
		"a size of nobody":                     {fine, "", []string{"--temporary-size=a10"}, exitUsage, "shared-cpu-1x, shared-cpu-2x"},
		"a size of nobody in the file":         {project("temporary_size = 'huge'"), "", nil, exitUsage, "performance-16x, not \"huge\""},
		"an odd memory":                        {fine, "", []string{"--temporary-memory=1000"}, exitUsage, "multiple of 256"},
		"a build argument":                     {fine, "", []string{"--build-arg=hunter2"}, exitUsage, "NAME=VALUE"},
		"a variable without a name":            {fine, "", []string{"--temporary-env=hunter2"}, exitUsage, "NAME=VALUE"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("FLY_APP", try.env)
			_, err := load(t, try.files, try.args...)
			if err == nil || !strings.Contains(err.Error(), try.says) || strings.Contains(err.Error(), "hunter2") {
				t.Fatalf("got %v, want %q", err, try.says)
			}
			if code := exitCode(io.Discard, "flydeploy", err); code != try.code {
				t.Errorf("exit code %d, want %d", code, try.code)
			}
		})
	}
}

func TestTimesOnTheCommandLine(t *testing.T) {
	t.Setenv("FLY_APP", "")
	if _, err := load(t, map[string]string{"fly.toml": "app = 'a'"}, "--timeout=soon"); err == nil || !strings.Contains(err.Error(), "milliseconds") {
		t.Errorf("got %v", err)
	}
	for given, want := range map[string]string{"90": "1m30s", "2m": "2m0s"} {
		hot := hotCommand(newInterrupts())
		if err := hot.ParseFlags([]string{"--lock-wait", given}); err != nil || hot.Flags().Lookup("lock-wait").Value.String() != want {
			t.Errorf("--lock-wait %s is %s, want %s: %v", given, hot.Flags().Lookup("lock-wait").Value, want, err)
		}
	}
}

// Where the storage's settings come from: by source, and within it by precedence.
func TestStorageConfig(t *testing.T) {
	machine := map[string]string{
		"AWS_ACCESS_KEY_ID": "tid_m", "AWS_SECRET_ACCESS_KEY": "tsec_m", "AWS_REGION": "ams", "AWS_ENDPOINT_URL_S3": "https://m",
		"BUCKET_NAME": "machines", "AWS_SESSION_TOKEN": "expires", "AWS_ROLE_ARN": "arn:aws:iam::1:role/a",
	}
	console := map[string]string{
		"AWS_ACCESS_KEY_ID": "tid_c", "AWS_SECRET_ACCESS_KEY": "tsec_c", "AWS_SESSION_TOKEN": "session", "AWS_BUCKET": "consoles",
	}
	ofMachine := s3.Config{App: "shop", Endpoint: "https://m", Region: "ams", Bucket: "machines", AccessKeyID: "tid_m", SecretAccessKey: "tsec_m", SessionToken: "expires", Role: "arn:aws:iam::1:role/a"}
	with := func(c s3.Config, change func(*s3.Config)) s3.Config { change(&c); return c }
	for name, try := range map[string]struct {
		a    appSettings
		want s3.Config
	}{
		"the machine's": {appSettings{}, ofMachine},
		"another bucket": {
			appSettings{bucket: "given", flyEnv: map[string]string{"AWS_BUCKET": "b"}},
			with(ofMachine, func(c *s3.Config) { c.Bucket = "given" }),
		},
		"[env] of fly.toml": {
			appSettings{flyEnv: map[string]string{"AWS_BUCKET": "env", "AWS_REGION": "fra", "AWS_SECRET_ACCESS_KEY": "not there"}},
			with(ofMachine, func(c *s3.Config) { c.Bucket, c.Region = "env", "fra" }),
		},
		"the console's": {
			appSettings{storage: storageOfEnv},
			s3.Config{App: "shop", Bucket: "consoles", AccessKeyID: "tid_c", SecretAccessKey: "tsec_c", SessionToken: "session"},
		},
		"a profile's": {
			appSettings{awsProfile: "ops"},
			s3.Config{App: "shop", Bucket: "machines", Profile: "ops"},
		},
	} {
		try.a.name = "shop-prod"
		if got := try.a.storageConfig("shop", machine, func(name string) string { return console[name] }); got != try.want {
			t.Errorf("%s: %+v", name, got)
		}
	}
	none := appSettings{name: "shop-prod"}
	if got := none.storageConfig("shop", nil, func(string) string { return "" }); got.Bucket != "shop-prod-releases" {
		t.Errorf("without any setting the bucket is %q", got.Bucket)
	}
}

func TestStorageThatDiffersFromTheMachines(t *testing.T) {
	machine := map[string]string{"AWS_ACCESS_KEY_ID": "tid_m", "AWS_ENDPOINT_URL_S3": "https://fly.storage.tigris.dev/"}
	same := s3.Location{Endpoint: s3.DefaultEndpoint, Region: "auto", Bucket: "shop-releases", AccessKeyID: "tid_m"}
	if got := storageDiffers(same, machineLocation("shop", machine)); len(got) > 0 {
		t.Errorf("the same: %q", got)
	}
	other := s3.Location{Endpoint: "https://t3.storage.dev", Region: "ams", Bucket: "mine", AccessKeyID: "tid_c"}
	got := strings.Join(storageDiffers(other, machineLocation("shop", machine)), "; ")
	for _, says := range []string{"bucket mine instead of the machines' shop-releases", "endpoint https://t3", "region ams", "another access key"} {
		if !strings.Contains(got, says) {
			t.Errorf("%q does not tell %q", got, says)
		}
	}
	if strings.Contains(got, "tid_") {
		t.Errorf("it shows a key: %s", got)
	}
	if got := storageDiffers(same, machineLocation("shop", nil)); len(got) != 1 || !strings.Contains(got[0], "the machines have none") {
		t.Errorf("machines without keys: %q", got)
	}
}

func TestAnImageInPlaceOfABuild(t *testing.T) {
	docker := t.TempDir()
	t.Setenv("DOCKER_CONFIG", docker)
	login := `{"auths": {"ghcr.io": {"auth": "bWU6c2VjcmV0"}}}`
	if err := os.WriteFile(filepath.Join(docker, "config.json"), []byte(login), 0o600); err != nil {
		t.Fatal(err)
	}
	named := map[string]string{"fly.toml": "app = 'shop'\n[build]\nimage = 'ghcr.io/me/shop:1'"}
	plain := map[string]string{"fly.toml": "app = 'shop'"}
	for name, try := range map[string]struct {
		files           map[string]string
		args            []string
		image, prebuilt string
	}{
		"named in fly.toml":         {named, nil, "", "ghcr.io/me/shop:1"},
		"another one is given":      {named, []string{"--skip-build", "--image", "registry.fly.io/shop:2"}, "registry.fly.io/shop:2", "ghcr.io/me/shop:1"},
		"of a registry with login":  {plain, []string{"--skip-build", "--image", "ghcr.io/me/shop:2"}, "", "ghcr.io/me/shop:2"},
		"of a registry without one": {plain, []string{"--skip-build", "--image", "quay.io/me/shop:2"}, "quay.io/me/shop:2", ""},
		"a build":                   {plain, nil, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			d, err := load(t, try.files, try.args...)
			if err != nil || d.engine.Image != try.image || d.builder.Prebuilt != try.prebuilt {
				t.Errorf("image %q, prebuilt %q, %v", d.engine.Image, d.builder.Prebuilt, err)
			}
		})
	}
}

// Commands run in the folder of flydeploy.toml; those that cannot be are refused before anything else happens.
func TestHooksOfTheProject(t *testing.T) {
	t.Setenv("CHAT", "https://chat.example.com/secret")
	const file = "[hooks]\nbefore_commit = 'make check'\nended = 'true'\n[hooks.timeouts]\nbefore_commit = 300\n[notify]\nurl = 'env:CHAT'\nheaders = { X-Kind = 'deploy' }\n"
	d, err := load(t, map[string]string{"fly.toml": "app = 'a'", "flydeploy.toml": file})
	if err != nil {
		t.Fatal(err)
	}
	opened, err := d.hooks.open()
	h, ok := opened.(hooks.Hooks)
	if err != nil || !ok || h.Dir != "." || h.Commands[engine.MomentBeforeCommit] != "make check" || h.Commands[engine.MomentEnded] != "true" || h.Commands[engine.MomentPlanned] != "" ||
		h.Timeouts[engine.MomentBeforeCommit] != 5*time.Minute || h.Notify.URL != "https://chat.example.com/secret" || h.Notify.Headers["X-Kind"] != "deploy" {
		t.Errorf("%+v, %v", opened, err)
	}
	sick := engine.Result{Outcome: engine.OutcomeUnhealthy, Problem: engine.NewProblem("unhealthy", "214 crashes of Shop.Cart", nil, "")}
	if says := h.Notify.Text(sick); !strings.Contains(says, "unhealthy") || !strings.Contains(says, "214 crashes of Shop.Cart") {
		t.Errorf("whoever is called reads %q", says)
	}
	if d, err := load(t, map[string]string{"fly.toml": "app = 'a'", "flydeploy.toml": file}, "--no-hooks"); err != nil || d.hooks != nil {
		t.Errorf("with --no-hooks there are some, or %v", err)
	}
	for toml, says := range map[string]string{
		"[hooks]\nbefore_deploy = 'x'":                       "there is no setting hooks.before_deploy",
		"[hooks]\nended = 'x'\n[hooks.timeouts]\nended = 0":  "ended is not between 1 and 600 seconds",
		"[hooks.timeouts]\nended = 5":                        "[hooks] has no command for it",
		"[hooks]\nended = 'x'\n[hooks.timeouts]\nendet = 10": "no hook endet",
	} {
		if _, err := load(t, map[string]string{"fly.toml": "app = 'a'", "flydeploy.toml": toml}); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v", toml, err)
		}
	}
}

// A variable that [notify] names and nobody has set keeps nobody from looking: it is an error of each deploy, until it is set.
func TestAnUnsetVariableIsAnErrorOfTheDeploy(t *testing.T) {
	t.Setenv("CHAT", "")
	files := map[string]string{"fly.toml": "app = 'a'", "flydeploy.toml": "[notify]\nurl = 'env:CHAT'\n"}
	d, err := load(t, files)
	if err != nil {
		t.Fatalf("the console does not open: %v", err)
	}
	c := connection{hooks: d.hooks}
	if _, err := c.start(t.Context(), d.engine); engine.AsProblem(err) == nil || engine.AsProblem(err).Name != "broken_config" || !strings.Contains(err.Error(), "no CHAT") {
		t.Errorf("a deploy starts: %v", err)
	}
	t.Setenv("CHAT", "https://chat.example.com/secret")
	if opened, err := d.hooks.open(); err != nil || opened.(hooks.Hooks).Notify.URL != "https://chat.example.com/secret" {
		t.Errorf("once it is set: %v", err)
	}
	t.Setenv("CHAT", "")
	t.Setenv("FLY_ACCESS_TOKEN", "fm2_none")
	cmd := hotCommand(newInterrupts())
	cmd.SetArgs([]string{"--yes", "--output", "plain"})
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	if err := cmd.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), "no CHAT") {
		t.Errorf("hot: %v", err)
	}
}
