defmodule FlyDeployAgent.Inventory do
  @moduledoc """
  What of a tarball this machine has already. An upgrade changes little of a release: the rest need be neither written nor compared
  file by file.
  """

  alias FlyDeployAgent.{Beam, Release}

  @doc """
  Whether a file of the tarball lies in the release byte by byte, and runs, where it is a module. Descriptions of
  applications and consolidated protocols never count as had: the comparison wants all of them.
  """
  @spec has?(String.t(), binary) :: boolean
  def has?(name, content) do
    case Path.split(name) do
      ["lib", folder | path] -> has?(folder, path, Path.extname(name), content)
      _ -> false
    end
  end

  defp has?(_folder, _path, ".app", _content), do: false

  defp has?(folder, ["ebin", file] = path, ".beam", content) do
    module = file |> Path.rootname() |> String.to_atom()
    runs?(module, content) and lies?(folder, path, content)
  end

  defp has?(folder, path, _extension, content), do: lies?(folder, path, content)

  # In interactive mode a module is loaded when it is called first.
  defp runs?(module, content) do
    case Beam.loaded_md5(module) do
      nil -> :code.get_mode() == :interactive
      md5 -> md5 == Beam.md5(content)
    end
  end

  defp lies?(folder, path, content) do
    {app, _vsn} = Release.split(folder)

    case Release.app_dir(app) do
      nil -> false
      dir -> [dir | path] |> Path.join() |> File.read() == {:ok, content}
    end
  end
end
