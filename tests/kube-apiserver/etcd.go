package main

import (
	"flag"
	"fmt"
	"net/url"
	"os"
	"os/signal"
	"syscall"

	"go.etcd.io/etcd/server/v3/embed"
)

// serveEtcd runs a single etcd member until it is told to stop. The flags are those of the etcd
// program that the harness uses, by their names, so that the harness can run the real program with
// the same command line.
func serveEtcd(arguments []string) error {
	config := embed.NewConfig()
	var listenClients, advertiseClients, listenPeers string
	// Left at zero, every request would count as slow and be logged.
	config.WarningUnaryRequestDuration = embed.DefaultWarningUnaryRequestDuration
	flags := flag.NewFlagSet("etcd", flag.ContinueOnError)
	flags.StringVar(&config.Dir, "data-dir", "", "where the data is kept")
	flags.StringVar(&listenClients, "listen-client-urls", "", "the URL to serve clients on")
	flags.StringVar(&advertiseClients, "advertise-client-urls", "", "the URL that clients are told")
	flags.StringVar(&listenPeers, "listen-peer-urls", "", "the URL to serve other members on")
	flags.StringVar(&config.LogLevel, "log-level", config.LogLevel, "debug, info, warn or error")
	flags.BoolVar(&config.UnsafeNoFsync, "unsafe-no-fsync", false, "leave writing to disk to the system")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	for _, urls := range []struct {
		flag   string
		value  string
		target *[]url.URL
	}{
		{"listen-client-urls", listenClients, &config.ListenClientUrls},
		{"advertise-client-urls", advertiseClients, &config.AdvertiseClientUrls},
		{"listen-peer-urls", listenPeers, &config.ListenPeerUrls},
	} {
		parsed, err := url.Parse(urls.value)
		if err != nil || parsed.Scheme == "" {
			return fmt.Errorf("--%s must be one URL, not %q", urls.flag, urls.value)
		}
		*urls.target = []url.URL{*parsed}
	}

	etcd, err := embed.StartEtcd(config)
	if err != nil {
		return fmt.Errorf("failed to start: %w", err)
	}
	defer etcd.Close()

	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGINT, syscall.SIGTERM)
	select {
	case <-etcd.Server.ReadyNotify():
		fmt.Fprintln(os.Stderr, "etcd: ready")
	case err := <-etcd.Err():
		return err
	case <-stop:
		return nil
	}
	select {
	case err := <-etcd.Err():
		return err
	case <-stop:
		return nil
	}
}
