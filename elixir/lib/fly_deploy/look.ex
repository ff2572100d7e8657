defmodule FlyDeploy.Look do
  @moduledoc false

  # One look at what the bucket records for this machine, and what follows from it. The deploy lock is read first: what a deploy
  # that is under way will record is not known yet, and its console may be about to upgrade this machine.

  alias FlyDeploy.{DeployLock, Hook, Lag, Metadata, SelfUpgrade, Settings, Signature, Storage, Version}

  @typedoc """
  What earlier looks have found: the version of current.json that settled everything, and how often each upgrade, by its
  sha256, was tried in vain, or why it must not be tried again.
  """
  @type known :: %{etag: String.t() | nil, tries: %{String.t() => pos_integer | String.t()}}

  @typedoc """
  `:settled`, `:caught_up` and `:failed`: nothing is to be done until current.json has another version than this one.
  `:wait`: a deploy is under way. `:retry` and `:failed` name the upgrade by its sha256, as far as it is known.
  """
  @type t ::
          :unchanged
          | {:settled | :caught_up, String.t(), etag :: String.t() | nil}
          | {:failed, String.t(), etag :: String.t() | nil, sha256 :: String.t()}
          | {:retry, String.t(), sha256 :: String.t() | nil}
          | {:wait, String.t()}

  # How often fetching an upgrade is tried before it is given up.
  @attempts 3

  @spec run(known) :: t
  def run(known) do
    with %{otp_app: app} = running <- Version.running(),
         {:ok, settings} <- Settings.load(System.get_env(), Application.get_all_env(:fly_deploy)),
         :free <- lock(settings, app),
         {:ok, document} <- Storage.document(settings, "releases/#{app}-current.json", known.etag) do
      compare(settings, running, document, known.tries)
    else
      nil -> {:settled, "the startup hook was not called: nobody knows which application this is about", nil}
      :not_found -> {:settled, "there has been no hot upgrade", nil}
      {:error, text} -> {:retry, text, nil}
      unchanged_or_wait -> unchanged_or_wait
    end
  end

  defp lock(settings, app) do
    case Storage.document(settings, "releases/#{app}-deploy.lock") do
      {:ok, lock} -> if DeployLock.held?(lock), do: {:wait, "a deploy is under way"}, else: :free
      :not_found -> :free
      {:error, text} -> {:error, text}
    end
  end

  defp compare(settings, running, %{body: body, etag: etag}, tries) do
    with {:ok, upgrade} <-
           Metadata.upgrade(
             body,
             System.get_env("FLY_IMAGE_REF", ""),
             Version.image_code(),
             System.get_env("FLY_MACHINE_ID")
           ),
         lag = Lag.of(upgrade, running, &Lag.fingerprint/0),
         # Also of what runs already: nothing that was signed before is loaded later.
         signed = Signature.check(upgrade, running.otp_app),
         :behind <- lag,
         {:gave_up, false} <- {:gave_up, Hook.gave_up?(upgrade.id)} do
      catch_up(settings, running.otp_app, {signed, upgrade}, etag, Map.get(tries, upgrade.sha256, 0))
    else
      :none -> none(body, running.otp_app, etag)
      {:gave_up, true} -> {:settled, "the last boots with what is recorded have not lasted", etag}
      :other_image -> {:settled, "what is recorded belongs to another image", etag}
      :ahead -> {:settled, "this machine runs a later upgrade than the recorded one", etag}
      {:error, text} -> {:settled, text, etag}
    end
  end

  defp none(body, otp_app, etag) do
    case Signature.none(body, otp_app) do
      :ok ->
        {:settled, "this machine runs what is recorded for it", etag}

      {:error, why} ->
        {:settled, "no hot upgrade is recorded, and nobody who is trusted vouches for that: #{why}", etag}
    end
  end

  defp catch_up(_settings, _app, {{:error, why}, upgrade}, etag, _tries),
    do: {:failed, why, etag, upgrade.sha256}

  defp catch_up(_settings, _app, {:ok, upgrade}, etag, why) when is_binary(why),
    do: {:failed, why, etag, upgrade.sha256}

  defp catch_up(settings, app, {:ok, upgrade}, etag, tries) do
    case SelfUpgrade.run(settings, app, upgrade) do
      {:ok, text} -> verified(upgrade, text, etag)
      {:busy, text} -> {:wait, text}
      {:unfetched, text} when tries + 1 < @attempts -> {:retry, text, upgrade.sha256}
      {_, text} -> {:failed, text, etag, upgrade.sha256}
    end
  end

  # The VM is asked itself, past the agent, as after a deploy.
  defp verified(upgrade, text, etag) do
    if upgrade.fingerprint in [nil, Lag.fingerprint()],
      do: {:caught_up, text, etag},
      else:
        {:failed, text <> " was applied, but the code that is loaded is not the recorded one", etag,
         upgrade.sha256}
  end
end
