// Package s3test runs an S3 server that shares no code with the local Fly's, for the long versions of tests.
package s3test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"flydeploy/s3"
)

// Long is whether the long versions of tests run, as in `make soak`, which puts SeaweedFS into bin.
func Long() bool { return os.Getenv("FLYDEPLOY_SOAK") != "" }

// Seaweed runs SeaweedFS, which has a server for each of metadata, volumes, files and S3, all on loopback, over a folder.
func Seaweed(t testing.TB, options ...string) s3.Config {
	t.Helper()
	root := t.TempDir()
	const keys = `{"identities":[{"name":"flydeploy","credentials":[{"accessKey":"tid_weed","secretKey":"tsec_weed"}],"actions":["Admin","Read","List","Write"]}]}`
	file := filepath.Join(root, "keys.json")
	if err := os.WriteFile(file, []byte(keys), 0o600); err != nil {
		t.Fatal(err)
	}
	ports := freePorts(t, 8)
	options = append([]string{
		"server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-dir=" + root, "-master.telemetry=false", "-volume.max=100", "-filer", "-s3",
		"-s3.config=" + file, "-s3.port.iceberg=0", "-s3.port.lance=0",
		"-filer.localSocket=" + filepath.Join(root, "filer.sock"), "-s3.localSocket=" + filepath.Join(root, "s3.sock"),
	}, options...)
	for i, server := range []string{"master", "volume", "filer", "s3"} {
		options = append(options, fmt.Sprintf("-%s.port=%d", server, ports[2*i]), fmt.Sprintf("-%s.port.grpc=%d", server, ports[2*i+1]))
	}
	log, err := os.Create(filepath.Join(root, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	ctx, stop := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, weed(t), options...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = root, log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait()
	}()
	t.Cleanup(func() {
		stop()
		<-ended
	})
	c := s3.Config{
		Endpoint: fmt.Sprintf("http://127.0.0.1:%d", ports[6]), Region: "us-east-1", Bucket: "counter-releases", App: "counter",
		AccessKeyID: "tid_weed", SecretAccessKey: "tsec_weed",
	}
	for { // until all its servers know each other; the bucket is made by the first write
		err := ready(t.Context(), c)
		if err == nil {
			return c
		}
		select {
		case <-ended:
			text, _ := os.ReadFile(log.Name())
			t.Fatalf("SeaweedFS has ended:\n%s", text)
		case <-t.Context().Done():
			t.Fatal(err)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func ready(ctx context.Context, c s3.Config) error {
	c.App = "ready"
	b, err := s3.Open(ctx, c)
	if err != nil {
		return err
	}
	return b.WriteResult(ctx, "01K94R0000000000000000000A", "deploy.json", []byte("{}"))
}

// weed finds SeaweedFS from the folder of any package.
func weed(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	for ; err == nil && dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		path := filepath.Join(dir, "bin", "weed")
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	t.Fatal("weed is missing: run `make bin/weed`")
	return ""
}

// freePorts gives ports that nobody listens on now.
func freePorts(t testing.TB, n int) []int {
	t.Helper()
	ports := make([]int, n)
	for i := range ports {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		ports[i] = l.Addr().(*net.TCPAddr).Port
	}
	return ports
}
