// Entrypoint of a Postgres for the tests, which takes what the official image
// takes: POSTGRES_USER, POSTGRES_PASSWORD, POSTGRES_DB and PGDATA. The first start
// makes the database. It runs as its container's user, and ends Postgres at once
// on SIGTERM, where the official image has SIGINT as its stop signal.
package main

import (
	"errors"
	"fmt"
	"log"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
)

func main() {
	bin, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err == nil && len(bin) != 1 {
		err = fmt.Errorf("there is not one Postgres but %d", len(bin))
	}
	if err != nil {
		log.Fatal(err)
	}
	data := os.Getenv("PGDATA")
	if _, err := os.Stat(filepath.Join(data, "PG_VERSION")); errors.Is(err, os.ErrNotExist) {
		if err := create(bin[0], data); err != nil {
			log.Fatal(err)
		}
	}
	server := exec.Command(bin[0]+"/postgres", "-D", data, "-c", "listen_addresses=*", "-c", "unix_socket_directories=/var/run/postgresql") //nolint:gosec // it is for the tests, whose variables they are
	server.Stdout, server.Stderr = os.Stdout, os.Stderr
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	if err := server.Start(); err != nil {
		log.Fatal(err)
	}
	go func() {
		<-stop
		if err := server.Process.Signal(syscall.SIGINT); err != nil {
			log.Print(err)
		}
	}()
	if err := server.Wait(); err != nil {
		log.Fatal(err)
	}
}

// create makes the database's files, its user and its database.
func create(bin, data string) error {
	user, database := os.Getenv("POSTGRES_USER"), os.Getenv("POSTGRES_DB")
	password := filepath.Join("/tmp", "password")
	if err := os.WriteFile(password, []byte(os.Getenv("POSTGRES_PASSWORD")), 0o600); err != nil {
		return err
	}
	defer func() { _ = os.Remove(password) }()
	if err := run(nil, bin+"/initdb", "--pgdata", data, "--username", user, "--pwfile", password, "--auth-local", "trust", "--auth-host", "scram-sha-256", "--encoding", "UTF8", "--locale", "C"); err != nil {
		return err
	}
	hba, err := os.OpenFile(filepath.Join(data, "pg_hba.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	if _, err := hba.WriteString("host all all all scram-sha-256\n"); err != nil {
		return errors.Join(err, hba.Close())
	}
	if err := hba.Close(); err != nil {
		return err
	}
	return run(strings.NewReader(fmt.Sprintf("CREATE DATABASE %q\n", database)), bin+"/postgres", "--single", "-D", data, "postgres")
}

func run(in *strings.Reader, name string, args ...string) error {
	cmd := exec.Command(name, args...) //nolint:gosec // as above
	if in != nil {
		cmd.Stdin = in
	}
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return cmd.Run()
}
