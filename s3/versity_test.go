package s3_test

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

// versity finds versitygw, an S3 server that shares no code with the local Fly's: `make setup` puts it into bin.
func versity(t *testing.T) string {
	t.Helper()
	if path, err := exec.LookPath("versitygw"); err == nil {
		return path
	}
	path, err := filepath.Abs(filepath.Join("..", "bin", "versitygw"))
	if err == nil {
		_, err = os.Stat(path)
	}
	if err != nil {
		t.Fatal("versitygw is missing: run `make setup`")
	}
	return path
}

// startVersity runs versitygw over a folder, with one bucket.
func startVersity(t *testing.T) s3.Config {
	t.Helper()
	return startVersityWith(t)
}

func startVersityWith(t *testing.T, options ...string) s3.Config {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	_ = l.Close()
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, bucket), 0o755); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	// Without --sidecar: with it an ETag lies in a file of its own, and a reader can get the new one with the old body.
	options = append([]string{"--port", address, "--region", "auto", "--quiet"}, options...)
	cmd := exec.CommandContext(ctx, versity(t), append(options, "posix", root)...)
	cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY=tid_versity", "ROOT_SECRET_KEY=tsec_versity")
	cmd.Dir = root
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop()
		_ = cmd.Wait()
	})
	c := s3.Config{
		Endpoint: "http://" + address, Region: "auto", Bucket: bucket, App: "counter",
		AccessKeyID: "tid_versity", SecretAccessKey: "tsec_versity",
	}
	for { // until it listens
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
		if err == nil {
			_ = conn.Close()
			return c
		}
		if t.Context().Err() != nil || cmd.ProcessState != nil {
			t.Fatal(fmt.Errorf("versitygw does not listen: %w", err))
		}
		time.Sleep(10 * time.Millisecond)
	}
}
