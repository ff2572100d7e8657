defmodule FlyDeployAgent.PackageTest do
  use ExUnit.Case

  alias FlyDeploy.Hook
  alias FlyDeployAgent.Package

  setup do
    before = for key <- [:applies, :reads, :running], do: {key, Application.fetch_env(:fly_deploy, key)}
    for {key, _} <- before, do: Application.delete_env(:fly_deploy, key)

    on_exit(fn ->
      for {key, value} <- before do
        case value do
          {:ok, value} -> Application.put_env(:fly_deploy, key, value)
          :error -> Application.delete_env(:fly_deploy, key)
        end
      end
    end)
  end

  @order %{apply_config: true, apply_children: nil}

  defp upgraded, do: Application.put_env(:fly_deploy, :running, %{otp_app: :shop, version: "2"})
  defp names(order), do: for(f <- Package.applied_findings(order), do: {f.name, f.severity})

  test "a package that a hot upgrade brought does not apply anything at a restart: the image's own does" do
    assert names(@order) == []
    upgraded()
    # The hook of the upgrade's package says nothing of the image's.
    Hook.note_reads()
    assert names(@order) == [{"applied_lost", :block}]
    assert names(%{apply_config: false, apply_children: :keep}) == [{"applied_lost", :block}]
    assert names(%{apply_config: false, apply_children: nil}) == []
  end

  test "what the image's own hook has noted down counts, whatever runs since" do
    Hook.note_reads()
    upgraded()
    assert names(@order) == []
  end
end
